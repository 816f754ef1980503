//! The few messages of D-Bus that asking systemd takes, as bytes; what it cannot read is `None`.
//!
//! Numbers are written in little-endian order and read in the order a message names. One stop after: `bus`.

/// A method call.
pub(super) struct Call<'a> {
    /// The bus name that is asked.
    pub destination: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
    /// All of them strings.
    pub arguments: &'a [&'a str],
}

/// A message that came.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// [`REPLY`], [`ERROR`], [`SIGNAL`] or another.
    pub kind: u8,
    /// The call that it answers.
    pub reply_to: Option<u32>,
    /// The object that sends a signal.
    pub path: String,
    /// The interface of a signal.
    pub interface: String,
    /// The name of a signal.
    pub member: String,
    /// The name of an error.
    pub error: String,
    /// The unique bus name of the sender; the bus writes it, so it is true.
    pub sender: String,
    /// The types of the body.
    pub signature: String,
    is_big_endian: bool,
    body: Vec<u8>,
}

pub(super) const CALL: u8 = 1;
pub(super) const REPLY: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

/// So many bytes tell how long a message is.
pub(super) const HEAD_LEN: usize = 16;

/// A service that does not run is not to be started.
const NO_AUTO_START: u8 = 2;

impl Call<'_> {
    /// Returns the message with that serial number, which is not 0.
    pub fn emit(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer(Vec::new());
        self.arguments.iter().for_each(|argument| body.string(argument));
        let signature = "s".repeat(self.arguments.len());
        let mut message = Writer::begin(CALL, serial, &body);
        message.field(1, "o", self.path);
        message.field(2, "s", self.interface);
        message.field(3, "s", self.member);
        message.field(6, "s", self.destination);
        if !signature.is_empty() {
            message.field(8, "g", &signature);
        }
        message.end(body)
    }
}

/// Returns how many bytes follow the head of a message, and how many of them are its header's.
pub(super) fn lengths(head: &[u8; HEAD_LEN]) -> Option<(usize, usize)> {
    let mut reader = Reader { bytes: head, at: 4, is_big_endian: is_big_endian(head[0])? };
    let body = usize::try_from(reader.number()?).ok()?;
    let _serial = reader.number()?;
    let fields = usize::try_from(reader.number()?).ok()?.checked_next_multiple_of(8)?;
    Some((fields.checked_add(body)?, fields))
}

impl Message {
    /// Reads a message; `rest` is what follows its head.
    pub fn parse(head: &[u8; HEAD_LEN], rest: &[u8]) -> Option<Self> {
        let (_, header_len) = lengths(head)?;
        let is_big_endian = is_big_endian(head[0])?;
        let body = rest.get(header_len..)?.to_vec();
        let mut message = Self { kind: head[1], is_big_endian, body, ..Self::default() };
        let fields_len = Reader { bytes: head, at: 12, is_big_endian }.number()?;
        // The head is 16 bytes long, so alignment to 8 is the same in what follows it.
        let fields = rest.get(..usize::try_from(fields_len).ok()?)?;
        let mut reader = Reader { bytes: fields, at: 0, is_big_endian };
        while reader.at < fields.len() {
            reader.align(8);
            let code = reader.byte()?;
            match (code, reader.signature()?.as_str()) {
                (1, "o") => message.path = reader.string()?,
                (2, "s") => message.interface = reader.string()?,
                (3, "s") => message.member = reader.string()?,
                (4, "s") => message.error = reader.string()?,
                (5, "u") => message.reply_to = Some(reader.number()?),
                (7, "s") => message.sender = reader.string()?,
                (8, "g") => message.signature = reader.signature()?,
                (_, "s" | "o") => drop(reader.string()?),
                (_, "u") => drop(reader.number()?),
                (_, "g") => drop(reader.signature()?),
                (_, _) => return None,
            }
        }
        Some(message)
    }

    /// Returns the body if it is one string, an object path, or a string in a variant.
    pub fn text(&self) -> Option<String> {
        let mut reader = self.reader();
        match self.signature.as_str() {
            "s" | "o" => reader.string(),
            "v" if reader.signature()? == "s" => reader.string(),
            _ => None,
        }
    }

    /// Returns the body if it is one truth value.
    pub fn truth(&self) -> Option<bool> {
        if self.signature == "b" { self.reader().number().map(|number| number != 0) } else { None }
    }

    /// Returns the body, to be read from its first value on.
    pub fn reader(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0, is_big_endian: self.is_big_endian }
    }
}

/// Returns the order of the numbers that the first byte of a message names.
fn is_big_endian(order: u8) -> Option<bool> {
    match order {
        b'l' => Some(false),
        b'B' => Some(true),
        _ => None,
    }
}

/// Bytes of a message that is made; alignment counts from the first.
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    /// Begins a message with this body; its header fields follow.
    pub fn begin(kind: u8, serial: u32, body: &Self) -> Self {
        let mut message = Self(vec![b'l', kind, NO_AUTO_START, 1]);
        message.number(len(&body.0));
        message.number(serial);
        message.number(0);
        message
    }

    /// Adds a header field: its code, its type, which is one of `o`, `s` and `g`, and its value.
    pub fn field(&mut self, code: u8, of: &str, value: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(of);
        if of == "g" { self.signature(value) } else { self.string(value) }
    }

    /// Returns the whole message.
    pub fn end(mut self, body: Self) -> Vec<u8> {
        let fields_len = len(self.0.get(HEAD_LEN..).unwrap_or_default()).to_le_bytes();
        self.0.splice(HEAD_LEN - 4..HEAD_LEN, fields_len);
        self.align(8);
        self.0.extend_from_slice(&body.0);
        self.0
    }

    pub fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub fn string(&mut self, text: &str) {
        self.number(len(text.as_bytes()));
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    pub fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }
}

/// Returns the length of something that the bus would refuse long before it reaches 4 GiB.
fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Bytes of a message that came; everything is `None` when they end too early.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big_endian: bool,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        let is_big_endian = self.is_big_endian;
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub fn string(&mut self) -> Option<String> {
        let len = usize::try_from(self.number()?).ok()?;
        self.text(len)
    }

    fn signature(&mut self) -> Option<String> {
        let len = usize::from(self.byte()?);
        self.text(len)
    }

    /// Reads so many bytes and the zero after them.
    fn text(&mut self, len: usize) -> Option<String> {
        let text = std::str::from_utf8(self.take(len)?).ok()?.to_owned();
        self.take(1)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A signal whose body is one truth value, as a machine of the other byte order sends it.
    const BIG_ENDIAN: &[u8] =
        b"B\x04\x01\x01\0\0\0\x04\0\0\0\x07\0\0\0\x17\x03\x01s\0\0\0\0\x02Hi\0\0\0\0\0\0\x08\x01g\0\x01b\0\0\0\0\0\x01";

    #[test]
    fn call_is_the_bytes_of_the_specification() {
        let call = Call { destination: "d.e", path: "/p", interface: "i.f", member: "M", arguments: &["ab"] };
        let mut expected = b"l\x01\x02\x01\x07\0\0\0\x05\0\0\0\x41\0\0\0".to_vec();
        expected.extend_from_slice(b"\x01\x01o\0\x02\0\0\0/p\0\0\0\0\0\0");
        expected.extend_from_slice(b"\x02\x01s\0\x03\0\0\0i.f\0\0\0\0\0");
        expected.extend_from_slice(b"\x03\x01s\0\x01\0\0\0M\0\0\0\0\0\0\0");
        expected.extend_from_slice(b"\x06\x01s\0\x03\0\0\0d.e\0\0\0\0\0");
        expected.extend_from_slice(b"\x08\x01g\0\x01s\0\0");
        expected.extend_from_slice(b"\x02\0\0\0ab\0");
        let fields_len = expected.len() - 16 - 7;
        expected[12] = u8::try_from(fields_len).unwrap() - 1;
        assert_eq!(call.emit(5), expected);
    }

    #[test]
    fn message_of_the_other_byte_order_is_read() {
        let message = read(BIG_ENDIAN).unwrap();
        assert_eq!((message.kind, message.member.as_str(), message.signature.as_str()), (SIGNAL, "Hi", "b"));
        assert_eq!((message.truth(), message.text()), (Some(true), None));
    }

    #[test]
    fn cut_message_is_none() {
        for len in HEAD_LEN..BIG_ENDIAN.len() - 4 {
            assert!(read(&BIG_ENDIAN[..len]).is_none(), "{len} bytes");
        }
        assert_eq!(read(&BIG_ENDIAN[..BIG_ENDIAN.len() - 1]).unwrap().truth(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), HEAD_LEN..200), at in 0usize..60, byte: u8) {
            let _ = read(&bytes);
            let mut changed = BIG_ENDIAN.to_vec();
            if let Some(place) = changed.get_mut(at) {
                *place = byte;
            }
            if let Some(message) = read(&changed) {
                let _ = (message.truth(), message.text());
            }
        }
    }

    fn read(bytes: &[u8]) -> Option<Message> {
        Message::parse(bytes[..HEAD_LEN].try_into().unwrap(), &bytes[HEAD_LEN..])
    }
}
