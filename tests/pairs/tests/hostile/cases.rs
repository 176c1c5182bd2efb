//! The inputs. Behind each of them there is another request, `GET /second`.

/// An input, and why the engines differ over it, if they do.
pub(crate) struct Case {
    pub(crate) input: Vec<u8>,
    pub(crate) why: Option<&'static str>,
}

// Why they differ: "it" is async-h1 as ebbtide serves it.
const LF: &str = "a lone LF ends no line for it; it may, and does for hyper (RFC 9112, section 2.2)";
const HOST: &str = "a request of HTTP/1.1 has one valid Host, or is answered with 400; hyper leaves that to the application (RFC 9112, section 3.2)";
const FORM: &str = "a target has one of four forms, and only some methods have the last two; hyper serves more (RFC 9112, section 3.2)";
const USER: &str = "an authority names no user: that is an error, or to be ignored (RFC 9110, section 4.2.4)";
const FRAGMENT: &str =
    "a target has no fragment and no backslash; hyper drops the one and serves the other (RFC 9112, section 3.2)";
const EMPTY: &str = "the URL of `*` has an empty path, which http-types shows as `/` (RFC 9112, section 3.3)";
const DOTS: &str = "http-types has a URL and not a target: its path is normalized (RFC 3986, section 6.2.2)";
const ENCODED: &str =
    "http-types has a URL and not a target: what may not be in one is percent-encoded (RFC 3986, section 2.1)";
const VERSION: &str = "both refuse; it says 505, which is what there is for that (RFC 9110, section 15.6.6)";
const PREFACE: &str = "both refuse; hyper hangs up on HTTP/2 without an answer";
const METHOD: &str =
    "http-types has a list of methods, in capitals; any other is answered with 501 (RFC 9110, section 9.1)";
const PERSISTS: &str = "HTTP/1.0 does not persist for it, and need not (RFC 9112, section 9.3)";
const ASCII: &str = "the header values of http-types are ASCII, and other bytes are obsolete; hyper serves them (RFC 9110, section 5.5)";
const TWICE: &str = "a length that is said twice may be refused or taken for one (RFC 9112, section 6.3)";
const BOTH: &str =
    "a length beside chunks may be refused, or overridden by them for one last request (RFC 9112, section 6.1)";
const CODING: &str = "both refuse; it says 501 to a coding it does not know (RFC 9112, section 6.1)";
const CODINGS: &str = "a coding that it does not know is answered with 501; hyper takes off the chunks and leaves the rest to the application (RFC 9112, section 6.1)";
const CHUNKED: &str = "nothing is chunked twice (RFC 9112, section 6.1)";
const LONG: &str =
    "a head may have 8 KiB here, and some 400 KiB with hyper (RFC 6585, section 5; RFC 9110, section 15.5.15)";
const MANY: &str = "a head may have 128 fields here, and 100 with hyper (RFC 6585, section 5)";
const BLANK: &str = "more than 8 KiB of empty lines before a request is no request for it (RFC 9112, section 2.2: one is to be ignored)";
const SPACE: &str = "behind a size there is no space without an extension; hyper ignores it (RFC 9112, section 7.1)";
const ZEROS: &str =
    "16 KiB of zeros before sizes are enough; hyper reads them for as long as they come (RFC 9112, section 7.1)";
const CONTROL: &str = "there is no control character in an extension; hyper ignores it (RFC 9112, section 7.1.1)";
const TRAILER: &str =
    "a lone LF ends no line; hyper waits for the line's end and drops what comes (RFC 9112, section 7.1.2)";
const TRAILERS: &str = "trailers may have 8 KiB here, and 16 KiB with hyper (RFC 9110, section 6.5)";

fn case(input: impl AsRef<[u8]>, why: impl Into<Option<&'static str>>) -> Case {
    Case { input: input.as_ref().into(), why: why.into() }
}

/// A request that begins so.
fn head(start: &str, why: impl Into<Option<&'static str>>) -> Case {
    case(format!("{start}\r\n\r\n"), why)
}

/// A request line with a valid Host.
fn line(line: &str, why: impl Into<Option<&'static str>>) -> Case {
    case(format!("{line}\r\nhost: x\r\n\r\n"), why)
}

/// A request with these fields besides its Host, and a body.
fn fields(fields: &str, body: &str, why: impl Into<Option<&'static str>>) -> Case {
    case(format!("POST / HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n{body}"), why)
}

/// A request whose body is to be chunks.
fn chunks(body: &str, why: impl Into<Option<&'static str>>) -> Case {
    fields("transfer-encoding: chunked", body, why)
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [lines(), hosts(), targets(), starts(), lengths(), codings(), headers(), long(), sizes(), ends(), trailers()]
        .into_iter()
        .flatten()
        .collect()
}

fn lines() -> Vec<Case> {
    vec![
        case("GET / HTTP/1.1\nhost: x\n\n", LF),
        case("GET / HTTP/1.1\nhost: x\r\n\r\n", LF),
        case("GET / HTTP/1.1\r\nhost: x\n\r\n", LF),
        case("GET / HTTP/1.1\r\nhost: x\r\n\n", LF),
        case("GET / HTTP/1.1\rhost: x\r\r", None),
        case("GET / HTTP/1.1\r\rhost: x\r\n\r\n", None),
        case("\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", LF),
        case("\rGET / HTTP/1.1\r\nhost: x\r\n\r\n", None),
        case("\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", None),
    ]
}

fn hosts() -> Vec<Case> {
    vec![
        head("GET / HTTP/1.1", HOST),
        head("GET / HTTP/1.1\r\nhost: x\r\nhost: y", HOST),
        head("GET / HTTP/1.1\r\nhost: x\r\nHost: x", HOST),
        head("GET /a/b HTTP/1.1\r\nhost:", None),
        head("GET / HTTP/1.1\r\nhost: x/admin?", HOST),
        head("GET / HTTP/1.1\r\nhost: u@x", HOST),
        head("GET / HTTP/1.1\r\nhost: x\\y", HOST),
        head("GET / HTTP/1.1\r\nhost: a b", HOST),
        head("GET / HTTP/1.1\r\nhost: x, y", HOST),
        head("GET / HTTP/1.1\r\nhost: x:99999", HOST),
        head("GET / HTTP/1.1\r\nhost: [::1]:80", None),
        head("GET / HTTP/1.1\r\nhost: \u{e9}.x", HOST),
        case(b"GET / HTTP/1.1\r\nhost: \xe9.x\r\n\r\n", HOST),
    ]
}

fn targets() -> Vec<Case> {
    vec![
        line("GET http://y/p?q HTTP/1.1", None),
        line("GET HTTPS://y HTTP/1.1", None),
        line("GET http://u@y/p HTTP/1.1", USER),
        line("GET ftp://y/p HTTP/1.1", FORM),
        line("GET p HTTP/1.1", FORM),
        line("GET y:80 HTTP/1.1", FORM),
        line("GET * HTTP/1.1", FORM),
        line("OPTIONS * HTTP/1.1", EMPTY),
        line("CONNECT y:80 HTTP/1.1", None),
        line("CONNECT / HTTP/1.1", FORM),
        line("GET //a/b HTTP/1.1", None),
        line("GET /a/../b HTTP/1.1", DOTS),
        line("GET /%2e%2e/b HTTP/1.1", DOTS),
        line("GET /a\\b HTTP/1.1", FRAGMENT),
        line("GET /a#b HTTP/1.1", FRAGMENT),
        line("GET /a|b HTTP/1.1", None),
        line("GET /a\"{}<> HTTP/1.1", ENCODED),
        line("GET /\u{e9} HTTP/1.1", ENCODED),
        case(b"GET /\xe9 HTTP/1.1\r\nhost: x\r\n\r\n", None),
        line("GET /%zz HTTP/1.1", None),
    ]
}

fn starts() -> Vec<Case> {
    vec![
        case("GET /\r\n", None),
        case("GET /\r\n\r\n", None),
        line("GET / HTTP/0.9", VERSION),
        line("GET / HTTP/1.2", VERSION),
        line("GET / HTTP/2.0", VERSION),
        line("GET / http/1.1", VERSION),
        line("GET / HTTP/1.1 ", None),
        line("GET  / HTTP/1.1", None),
        line("GET /  HTTP/1.1", VERSION),
        line("GET\t/ HTTP/1.1", None),
        line(" GET / HTTP/1.1", None),
        line("G@T / HTTP/1.1", None),
        line("HEAD / HTTP/1.1", None),
        line("get / HTTP/1.1", METHOD),
        line("FOO / HTTP/1.1", METHOD),
        case("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PREFACE),
        head("GET / HTTP/1.0", None),
        head("GET / HTTP/1.0\r\nconnection: keep-alive", PERSISTS),
        case("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", None),
    ]
}

fn lengths() -> Vec<Case> {
    vec![
        fields("content-length:  5 ", "hello", None),
        fields("content-length: 05", "hello", None),
        fields("content-length: 0", "", None),
        fields("content-length: +5", "hello", None),
        fields("content-length: 0x5", "hello", None),
        fields("content-length: -1", "", None),
        fields("content-length: 5 5", "hello", None),
        fields("content-length: 5, 5", "hello", None),
        fields("content-length:", "", None),
        fields("content-length: 99999999999999999999", "", None),
        fields("content-length: 5\r\ncontent-length: 5", "hello", TWICE),
        fields("content-length: 5\r\ncontent-length: 6", "hello", None),
        fields("content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n", BOTH),
        fields("transfer-encoding: chunked\r\ncontent-length: 5", "0\r\n\r\n", BOTH),
        fields("expect: 100-continue\r\ncontent-length: 5", "hello", None),
        fields("expect: more\r\ncontent-length: 5", "hello", None),
    ]
}

fn codings() -> Vec<Case> {
    const LAST: &str = "0\r\n\r\n";
    vec![
        fields("transfer-encoding: Chunked", LAST, None),
        fields("transfer-encoding: gzip", "", CODING),
        fields("transfer-encoding: gzip, chunked", LAST, CODINGS),
        fields("transfer-encoding: chunked, gzip", LAST, CODING),
        fields("transfer-encoding: chunked, chunked", LAST, CHUNKED),
        fields("transfer-encoding: chunked\r\ntransfer-encoding: chunked", LAST, CHUNKED),
        fields("transfer-encoding: xchunked", LAST, CODING),
        fields("transfer-encoding: identity", "", CODING),
        fields("transfer-encoding:", "", CODING),
        fields("transfer-encoding: \"chunked\"", LAST, CODING),
        fields("transfer-encoding: chunked;x", LAST, CODING),
        fields("transfer-encoding : chunked", LAST, None),
        fields("transfer-encoding: chunked\u{b}", LAST, None),
        fields("transfer-encoding:\r\n chunked", LAST, None),
        fields("transfer_encoding: chunked", "", None),
    ]
}

fn headers() -> Vec<Case> {
    vec![
        fields("x: \r\n y", "", None),
        fields("x : y", "", None),
        fields(": y", "", None),
        fields("x", "", None),
        fields("x y: z", "", None),
        fields(" x: z", "", None),
        fields("x: a\0b", "", None),
        fields("x: a\rb", "", None),
        fields("x: a\u{7f}b", "", None),
        fields("\0: z", "", None),
        fields("x\u{e9}: y", "", None),
        fields("x: \u{e9}", "", ASCII),
        case(b"POST / HTTP/1.1\r\nhost: x\r\nx: \xe9\r\n\r\n", ASCII),
    ]
}

fn long() -> Vec<Case> {
    let field = |length| format!("x: {}", "y".repeat(length));
    vec![
        fields(&field(9000), "", LONG),
        fields(&field(500_000), "", None),
        line(&format!("GET /{} HTTP/1.1", "y".repeat(9000)), LONG),
        fields(&vec!["x: y"; 120].join("\r\n"), "", MANY),
        fields(&vec!["x: y"; 200].join("\r\n"), "", None),
        line(&"\r\n".repeat(100), None),
        case("\r\n".repeat(5000), BLANK),
        case("y".repeat(9000), LONG),
    ]
}

fn sizes() -> Vec<Case> {
    const END: &str = "\r\nabc\r\n0\r\n\r\n";
    let chunk = |size: &str, why: Option<&'static str>| chunks(&format!("{size}{END}"), why);
    vec![
        chunk("3", None),
        chunk("", None),
        chunk(" 3", None),
        chunk(" 80", None),
        chunk("3 ", Some(SPACE)),
        chunk("3\t", Some(SPACE)),
        chunk("3 x", None),
        chunk("3g", None),
        chunk("0x3", None),
        chunk("+3", None),
        chunk("-1", None),
        chunk("10000000000000003", None),
        chunk("ffffffffffffffff", None),
        chunk("0000000000000000000003", None),
        chunk(&format!("{}3", "0".repeat(20_000)), Some(ZEROS)),
        chunk("3;a=b", None),
        chunk("3 ; a", None),
        chunk("3;", None),
        chunk("3;a=\"x\\\"y;\"", None),
        chunk("3;\u{e9}", None),
        chunk("3;a\0b", Some(CONTROL)),
        chunk("3;a\nb", None),
        chunk("3;a\rb", None),
        chunk(&format!("3;{}", "x".repeat(9000)), None),
        chunk(&format!("3;{}", "x".repeat(20_000)), None),
    ]
}

fn ends() -> Vec<Case> {
    vec![
        chunks("0\r\n\r\n", None),
        chunks("000\r\n\r\n", None),
        chunks("\r\n\r\n", None),
        chunks("3\r\nabc\r\n\r\n\r\n", None),
        chunks("3\nabc\n0\n\n", None),
        chunks("3\r\nabc\n0\r\n\r\n", None),
        chunks("3\r\nabc\r\n0\n\r\n", None),
        chunks("3\r\nabc\r\n0\r\n\n", TRAILER),
        chunks("3\rX\nabc\r\n0\r\n\r\n", None),
        chunks("3\r\nabc\rX\n0\r\n\r\n", None),
        chunks("3\r\nabcXX0\r\n\r\n", None),
        chunks("3\r\nabcX\n0\r\n\r\n", None),
        chunks("3\r\nab\r\n0\r\n\r\n", None),
        chunks("3\r\nabcd\r\n0\r\n\r\n", None),
        chunks("3\r\nabc0\r\n\r\n", None),
    ]
}

fn trailers() -> Vec<Case> {
    let trailer = |fields: &str, why: Option<&'static str>| chunks(&format!("3\r\nabc\r\n0\r\n{fields}\r\n\r\n"), why);
    vec![
        trailer("x: y", None),
        trailer("content-length: 9", None),
        trailer("x: \u{e9}", None),
        trailer("x", None),
        trailer("x : y", None),
        trailer(": y", None),
        trailer("x: y\n", Some(TRAILER)),
        trailer("x: y\r\n z", None),
        trailer("x: a\0b", None),
        trailer(&format!("x: {}", "y".repeat(9000)), Some(TRAILERS)),
        trailer(&format!("x: {}", "y".repeat(20_000)), None),
        trailer(&vec!["x: y"; 20].join("\r\n"), None),
        trailer(&vec!["x: y"; 200].join("\r\n"), None),
    ]
}
