# Makes a manual page of section 5 of a paper in docs/: headings, paragraphs, lists, code and tables, whose rows become entries.
#
#   awk -v name=vrrpd.toml -v about="configuration of vrrpd" -v version=0.1.0 -f man-page.awk docs/configuration.md

BEGIN {
    printf ".TH \"%s\" 5 \"\" \"vrrpd %s\" \"File Formats\"\n", toupper(name), version
    printf ".SH NAME\n%s \\- %s\n.SH DESCRIPTION\n", name, about
}

# Text of troff: what it would take for a request or an escape is put out of action.
function plain(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text
}

function first_safe(text) {
    return text ~ /^[.']/ ? "\\&" text : text
}

# Turns the marks of a line into fonts; what stands between backquotes is taken as it is.
function marked(text,    out, at, length_of_mark, mark, rest, close_at, link) {
    out = ""
    # Code is bold in any case.
    gsub(/\*\*`/, "`", text)
    gsub(/`\*\*/, "`", text)
    while (match(text, /\[`[^`]*`\]\([^)]*\)/)) {
        link = substr(text, RSTART + 1, RLENGTH - 1)
        sub(/\]\(.*/, "", link)
        text = substr(text, 1, RSTART - 1) link substr(text, RSTART + RLENGTH)
    }
    while (match(text, /`+/)) {
        at = RSTART
        length_of_mark = RLENGTH
        mark = substr(text, at, length_of_mark)
        rest = substr(text, at + length_of_mark)
        close_at = index(rest, mark)
        if (close_at == 0) break
        out = out prose(substr(text, 1, at - 1)) "\\fB" plain(trimmed(substr(rest, 1, close_at - 1))) "\\fR"
        text = substr(rest, close_at + length_of_mark)
    }
    return first_safe(out prose(text))
}

function prose(text,    out, link) {
    while (match(text, /\[[^][]*\]\([^)]*\)/)) {
        link = substr(text, RSTART + 1, RLENGTH - 1)
        sub(/\]\(.*/, "", link)
        text = substr(text, 1, RSTART - 1) link substr(text, RSTART + RLENGTH)
    }
    text = plain(text)
    while (match(text, /\*\*[^*]+\*\*/)) {
        out = out substr(text, 1, RSTART - 1) "\\fI" substr(text, RSTART + 2, RLENGTH - 4) "\\fR"
        text = substr(text, RSTART + RLENGTH)
    }
    return out text
}

# Bold already.
function heading(text) {
    gsub(/`/, "", text)
    return first_safe(plain(text))
}

function trimmed(text) {
    sub(/^ +/, "", text)
    sub(/ +$/, "", text)
    return text
}

# Splits a row of a table, not where a bar stands between backquotes; returns how many cells there are.
function cells_of(line, cells,    i, c, count, inside) {
    line = trimmed(line)
    line = substr(line, 2, length(line) - 2)
    count = 1
    cells[1] = ""
    inside = 0
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        if (c == "`") inside = !inside
        if (c == "|" && !inside) cells[++count] = ""
        else cells[count] = cells[count] c
    }
    for (i = 1; i <= count; i++) cells[i] = trimmed(cells[i])
    return count
}

# An entry: the first cell is what it is about; the one under "meaning", or else the last, is what is said of it; the others have the
# names of their columns.
function row(line,    cells, count, i, between, last) {
    count = cells_of(line, cells)
    last = count
    for (i = 2; i <= count; i++) if (heads[i] == "meaning") last = i
    between = ""
    for (i = 2; i <= count; i++) {
        if (i != last && cells[i] != "" && cells[i] != "-") between = between (between == "" ? "" : "; ") heads[i] ": " cells[i]
    }
    print ".TP\n" marked(cells[1])
    if (between != "") print marked(between) "\n.br"
    print marked(cells[last])
}

# Lines of a paragraph are marked together: what stands between backquotes may go over the end of a line.
function end_of_text() {
    if (text_so_far != "") print marked(text_so_far)
    text_so_far = ""
}

function begin(kind) {
    end_of_text()
    if (in_table && kind != "table") print ".PP"
    in_table = kind == "table"
}

/^```/ {
    begin("code")
    print in_code ? ".fi\n.RE" : ".PP\n.RS 4\n.nf"
    in_code = !in_code
    next
}
in_code { print first_safe(plain($0)); next }
/^# / { next }
/^## / { begin("heading"); print ".SH " heading(substr($0, 4)); next }
/^### / { begin("heading"); print ".SS " heading(substr($0, 5)); next }
/^\|[-|: ]+\|$/ { next }
/^\|/ && !in_table { begin("table"); split("", heads); cells_of($0, heads); next }
/^\|/ { row($0); next }
/^- / { begin("entry"); print ".IP \\(bu 2"; text_so_far = substr($0, 3); next }
/^[0-9]+\. / { begin("entry"); print ".IP " $1 " 4"; text_so_far = substr($0, length($1) + 2); next }
/^ *$/ { begin("paragraph"); print ".PP"; next }
{ text_so_far = text_so_far (text_so_far == "" ? "" : " ") trimmed($0) }

END {
    end_of_text()
    print ".SH SEE ALSO\n.BR vrrpd (8),\n.BR vrrpd\\-check (8),\n.BR vrrpd\\-explain (8)"
}
