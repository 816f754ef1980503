//! What `convert` writes, whole.

use crate::reader::{assert_converts, load};

#[test]
fn a_converted_file_keeps_its_comments_where_they_were() {
    let loaded = load(
        "! Pair of balancers\n\
         global_defs {\n\
         \x20  router_id lb1  # shown in mails\n\
         }\n\
         # The web\n\
         vrrp_instance web {\n\
         \x20  state BACKUP\n\
         \x20  interface eth0     # uplink\n\
         \x20  virtual_router_id 51\n\
         \x20  # higher on lb2\n\
         \x20  priority 150\n\
         \x20  nopreempt\n\
         \x20  authentication {\n\
         \x20     auth_type PASS\n\
         \x20     auth_pass \"a\\b\"\n\
         \x20  }\n\
         \x20  unicast_src_ip 192.0.2.11\n\
         \x20  unicast_peer {\n\
         \x20     192.0.2.12 min_ttl 255   # lb2\n\
         \x20  }\n\
         \x20  virtual_ipaddress {\n\
         \x20     192.0.2.30/24 dev eth1 label eth1:vip\n\
         \x20     192.0.2.31/24\n\
         \x20  }\n\
         }\n\
         # end\n",
    );
    let toml = assert_converts("comments", &loaded);
    let expected = "\
# Pair of balancers
# shown in mails
# The web

[daemon]
node = \"lb1\"

[check.eth1]
interface = \"eth1\"

[instance.web]
# uplink
interface = \"eth0\"
virtual_router_id = 51
version = 2
# higher on lb2
priority = 150
advert_interval = \"1s\"
preempt = \"never\"
source = \"192.0.2.11\"
# lb2
peers = [{ address = \"192.0.2.12\", min_ttl = 255 }]
addresses = [
  { address = \"192.0.2.30/24\", interface = \"eth1\", label = \"eth1:vip\" },
  \"192.0.2.31/24\",
]
checks = [\"eth1\"]

[instance.web.auth]
password = \"a\\\\b\"

# end
";
    assert_eq!(toml, expected);
}

#[test]
fn odd_names_and_secrets_survive() {
    let name = "a\"b\\c.d";
    for secret in ["12345678", "1234567ü9", "üüüüü", "a'b", "\"tail \\ \""] {
        let loaded = load(&format!(
            "vrrp_instance VI.{} {{\ninterface e\nvirtual_router_id 1\nauthentication {{\nauth_type PASS\nauth_pass {secret}\n}}\n\
             virtual_ipaddress {{\n10.0.0.1/24\n}}\n}}\n",
            name.replace('"', "'")
        ));
        assert_converts(secret, &loaded);
    }
    let long = "n".repeat(100);
    let loaded = load(&format!("vrrp_instance \"a b/{long}\" {{\ninterface e\nvirtual_router_id 1\n}}\n"));
    assert!(loaded.warnings[1].text().starts_with("the name \"a b/nnn"), "{:?}", loaded.warnings);
    assert_converts("name", &loaded);
}
