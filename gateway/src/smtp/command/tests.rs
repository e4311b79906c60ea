//! Command lines, and what they are understood as.

use super::*;

fn check(line: &str, expected: Result<Command, Rejection>) {
    assert_eq!(Command::parse(line.as_bytes()), expected.map_err(Fault::Refused), "{line:?}");
}

fn from(address: &str) -> Mail {
    let from = if address.is_empty() { ReversePath::Null } else { ReversePath::Address(address.parse().unwrap()) };
    Mail { from, body: BodyType::SevenBit, size: None, charset: Charset::Ascii, ret: None, envid: None }
}

fn to(address: &str) -> Command {
    let charset = if address.is_ascii() { Charset::Ascii } else { Charset::Utf8 };
    Command::Recipient(Recipient {
        path: ForwardPath::Mailbox(address.parse().unwrap()),
        charset,
        dsn: RecipientDsn::default(),
    })
}

#[test]
fn verbs() {
    check("EHLO mta.example", Ok(Command::Hello(Greeting::Ehlo, "mta.example".into())));
    check("ehlo my_pc", Ok(Command::Hello(Greeting::Ehlo, "my_pc".into())));
    check("HELO [IPv6:2001:db8::1]", Ok(Command::Hello(Greeting::Helo, "[IPv6:2001:db8::1]".into())));
    check("DATA", Ok(Command::Data));
    check("data  \t", Ok(Command::Data));
    check("RSET", Ok(Command::Reset));
    check("NOOP", Ok(Command::Noop));
    check("NOOP anything at all", Ok(Command::Noop));
    check("VRFY anna", Ok(Command::Verify));
    check("STARTTLS", Ok(Command::StartTls));
    check("QUIT", Ok(Command::Quit));
    check("GET / HTTP/1.1", Ok(Command::Http));
    check("post /x HTTP/1.0", Ok(Command::Http));
    check("CONNECT a:25 HTTP/1.1", Ok(Command::Http));
    check("PRI * HTTP/2.0", Ok(Command::Http));
}

#[test]
fn no_verbs() {
    for line in ["", " ", " NOOP", "NOOPS", "MAILFROM:<a@x.example>", "X", "DA TA", "\u{a0}NOOP", "NOOP\tx"] {
        check(line, Err(Rejection::SYNTAX));
    }
    for line in ["EHLO", "HELO ", "EHLO a b", "EHLO a<b", "EHLO (x)", "EHLO ä.example", "EHLO  x", "DATA x"] {
        check(line, Err(Rejection::PARAMETERS));
    }
    for line in ["RSET x", "QUIT x", "STARTTLS x", "VRFY", "MAIL", "RCPT", "NOOP ä"] {
        check(line, Err(Rejection::PARAMETERS));
    }
    for line in ["EXPN list", "HELP"] {
        check(line, Err(Rejection::NOT_IMPLEMENTED));
    }
    check(&format!("EHLO {}", "x".repeat(256)), Err(Rejection::PARAMETERS));
}

#[test]
fn paths() {
    check("MAIL FROM:<anna@x.example>", Ok(Command::Mail(from("anna@x.example"))));
    check("mail from:<Anna@X.example>", Ok(Command::Mail(from("Anna@x.example"))));
    check("MAIL FROM:<>", Ok(Command::Mail(from(""))));
    check("RCPT TO:<Anna@X.example>", Ok(to("Anna@x.example")));
    check("RCPT TO:<\"a@b\"@x.example>", Ok(to("\"a@b\"@x.example")));
    check("RCPT TO:<\"a>b\"@x.example>", Ok(to("\"a>b\"@x.example")));
    check("RCPT TO:<\"a\\\">\"@x.example>", Ok(to("\"a\\\">\"@x.example")));
    check("RCPT TO:<\"a b\"@x.example>", Ok(to("\"a b\"@x.example")));
    check("RCPT TO:<a@[192.0.2.1]>", Ok(to("a@[192.0.2.1]")));
    check("RCPT TO:<a%b@x.example>", Ok(to("a%b@x.example")));
    check(
        "RCPT TO:<PostMaster>",
        Ok(Command::Recipient(Recipient {
            path: ForwardPath::Postmaster,
            charset: Charset::Ascii,
            dsn: RecipientDsn::default(),
        })),
    );
}

#[test]
fn no_paths() {
    for argument in [
        "a@x.example",
        " <a@x.example>",
        "<a@x.example",
        "a@x.example>",
        "<\"a>@x.example",
        "<a@x.example>>",
        "<a@x.example>SIZE=1",
        "<a@x.example>  SIZE=1",
        "<a@x.example> SIZE=1  BODY=7BIT",
    ] {
        check(&format!("MAIL FROM:{argument}"), Err(Rejection::PARAMETERS));
        check(&format!("RCPT TO:{argument}"), Err(Rejection::PARAMETERS));
    }
    for path in [
        "anna",
        "@x.example",
        "anna@",
        "a@b@x.example",
        "@relay.example:a@x.example",
        "@one.example,@two.example:a@x.example",
        "<a@x.example>",
        "a b@x.example",
        "a@x..example",
        "a\t@x.example",
        "\"a\"b@x.example",
    ] {
        check(&format!("MAIL FROM:<{path}>"), Err(Rejection::SENDER_ADDRESS).map_err(|e| nested(path, e)));
        check(&format!("RCPT TO:<{path}>"), Err(Rejection::RECIPIENT_ADDRESS).map_err(|e| nested(path, e)));
    }
    check("RCPT TO:<>", Err(Rejection::RECIPIENT_ADDRESS));
    check("MAIL FROM:<postmaster>", Err(Rejection::SENDER_ADDRESS));
    check("MAIL TO:<a@x.example>", Err(Rejection::PARAMETERS));
    check("RCPT FROM:<a@x.example>", Err(Rejection::PARAMETERS));
}

/// `<<a@b>>` ends at the first bracket, so what follows is no parameter.
fn nested(path: &str, otherwise: Rejection) -> Rejection {
    if path.ends_with('>') { Rejection::PARAMETERS } else { otherwise }
}

#[test]
fn parameters() {
    let mail = |text: &str, size, body| {
        let expected = Mail { size, body, ..from("a@x.example") };
        check(&format!("MAIL FROM:<a@x.example> {text}"), Ok(Command::Mail(expected)));
    };
    mail("SIZE=0", Some(0), BodyType::SevenBit);
    mail("size=1024 body=8bitmime", Some(1024), BodyType::EightBitMime);
    mail("BODY=7BIT SIZE=5", Some(5), BodyType::SevenBit);
    mail("SIZE=99999999999999999999", Some(u64::MAX), BodyType::SevenBit);
    let refused = |text: &str, why| check(&format!("MAIL FROM:<a@x.example> {text}"), Err(why));
    for text in [
        "SIZE",
        "SIZE=",
        "SIZE=-1",
        "SIZE=1x",
        "SIZE=999999999999999999999",
        "SIZE=1 SIZE=1",
        "BODY=7BIT BODY=7BIT",
        "BODY",
        "BODY=BINARYMIME",
        "=1",
        "-X=1",
        "S?ZE=1",
        "SIZE=1=1",
    ] {
        refused(text, Rejection::PARAMETERS);
    }
    for text in ["REQUIRETLS", "HOLDFOR=1", "SIZE=1 X-UNKNOWN", "X=1 BODY=7BIT"] {
        refused(text, Rejection::UNKNOWN_PARAMETER);
    }
    check("RCPT TO:<a@x.example> SIZE=1", Err(Rejection::UNKNOWN_PARAMETER));
    for text in [
        "AUTH",
        "AUTH=",
        "AUTH=a+",
        "SMTPUTF8=1",
        "SMTPUTF8 SMTPUTF8",
        "RET",
        "RET=ALL",
        "RET=FULL RET=FULL",
        "ENVID",
        "ENVID=a+0A",
        "ENVID=a ENVID=b",
    ] {
        refused(text, Rejection::PARAMETERS);
    }
    check("MAIL FROM:<a@x.example> AUTH=<>", Ok(Command::Mail(from("a@x.example"))));
    check("MAIL FROM:<a@x.example> AUTH=b+2Bc@x.example", Ok(Command::Mail(from("a@x.example"))));
    for text in [
        "NOTIFY",
        "NOTIFY=",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=NEVER NOTIFY=NEVER",
        "ORCPT=a@x.example",
        "ORCPT=rfc822;a+0D",
        "ORCPT=rfc822;a ORCPT=rfc822;a",
    ] {
        check(&format!("RCPT TO:<a@x.example> {text}"), Err(Rejection::PARAMETERS));
    }
}

#[test]
fn wishes_are_kept() {
    let Ok(Command::Mail(mail)) = Command::parse(b"MAIL FROM:<a@x.example> ret=hdrs ENVID=a+2Bb") else { panic!() };
    let envelope = mail.envelope();
    assert_eq!((envelope.dsn.ret, envelope.dsn.envid.unwrap().text()), (Some(Return::Headers), "a+b"));
    let line = "RCPT TO:<a@x.example> NOTIFY=delay,SUCCESS ORCPT=rfc822;b+2Bc@x.example";
    let Ok(Command::Recipient(recipient)) = Command::parse(line.as_bytes()) else { panic!() };
    assert_eq!(recipient.dsn.notify.unwrap().to_string(), "SUCCESS,DELAY");
    assert_eq!(recipient.dsn.orcpt.unwrap().address(), "b+c@x.example");
}

#[test]
fn more_than_ascii() {
    for path in ["ä@x.example", "a@bücher.example", "用户@例子.example"] {
        check(&format!("MAIL FROM:<{path}>"), Err(Rejection::NON_ASCII));
        let expected = Mail { charset: Charset::Utf8, ..from(path) };
        check(&format!("MAIL FROM:<{path}> SMTPUTF8"), Ok(Command::Mail(expected)));
        check(&format!("RCPT TO:<{path}>"), Ok(to(path)));
    }
    for path in [
        "a\u{202e}b@x.example",
        "a\u{2066}b@x.example",
        "a\u{200f}b@x.example",
        "a\u{200b}b@x.example",
        "a\u{feff}b@x.example",
        "a\u{a0}b@x.example",
        "a\u{ff20}b@x.example",
        "\u{ff41}@x.example",
        "a@\u{ff58}.example",
        "a@x\u{3002}example",
        "a@x.example\u{202c}",
        "a\u{ff20}x.example",
        "\"ä\u{202e}\"@x.example",
        "a\u{85}@x.example",
        "a\u{2028}@x.example",
    ] {
        check(&format!("MAIL FROM:<{path}> SMTPUTF8"), Err(Rejection::SENDER_ADDRESS));
        check(&format!("RCPT TO:<{path}>"), Err(Rejection::RECIPIENT_ADDRESS));
    }
    assert_eq!(Command::parse(b"RCPT TO:<\xe4@x.example>"), Err(Fault::Refused(Rejection::RECIPIENT_ADDRESS)));
    assert_eq!(Command::parse(b"RCPT TO:<\xc0\xbc@x.example>"), Err(Fault::Refused(Rejection::RECIPIENT_ADDRESS)));
}

#[test]
fn chunks() {
    for (line, octets, place) in [
        ("BDAT 0", 0, Place::Inner),
        ("bdat 0 last", 0, Place::Last),
        ("BDAT 00012 LAST", 12, Place::Last),
        ("BDAT 18446744073709551615", u64::MAX, Place::Inner),
    ] {
        check(line, Ok(Command::Chunk(Chunk { octets, place })));
    }
    for line in [
        "BDAT",
        "BDAT ",
        "BDAT LAST",
        "BDAT -1",
        "BDAT +1",
        "BDAT 1 LAS",
        "BDAT 1  LAST",
        "BDAT  1",
        "BDAT 1 LAST x",
        "BDAT 0x10",
        "BDAT 18446744073709551616",
        "BDAT 000000000000000000001",
        "BDAT 1,000",
        "BDAT ä",
    ] {
        assert_eq!(Command::parse(line.as_bytes()), Err(Fault::Lost(Rejection::CHUNK)), "{line}");
    }
}

#[test]
fn authentication() {
    check("AUTH PLAIN", Ok(Command::Auth(Mechanism::Plain, None)));
    check("auth login YW5uYQ==", Ok(Command::Auth(Mechanism::Login, Some("YW5uYQ==".into()))));
    check("AUTH CRAM-MD5", Err(Rejection::MECHANISM));
    for line in ["AUTH", "AUTH PLAIN a b", "AUTH PLAIN  a", "AUTH PLAIN ä"] {
        check(line, Err(Rejection::PARAMETERS));
    }
    check("AUTH PLAIN ", Ok(Command::Auth(Mechanism::Plain, None)));
}

#[test]
fn introductions() {
    let line = "XCLIENT NAME=spike.example ADDR=192.0.2.7 PORT=1234 PROTO=ESMTP HELO=a+2Db.example";
    let expected = Introduction { address: "192.0.2.7".parse().unwrap(), helo: Some("a-b.example".into()) };
    check(line, Ok(Command::Introduce(expected)));
    let v6 = Introduction { address: "2001:db8::7".parse().unwrap(), helo: None };
    check("xclient addr=IPV6:2001:db8::7", Ok(Command::Introduce(v6)));
    for attributes in [
        "",
        "HELO=a.example",
        "ADDR",
        "ADDR=",
        "ADDR=[UNAVAILABLE]",
        "ADDR=[TEMPUNAVAIL]",
        "ADDR=x",
        "ADDR=2001:db8::7",
        "ADDR=IPV6:x",
        "ADDR=1.2.3.4 ADDR=1.2.3.4",
        "LOGIN=root",
        "DESTADDR=1.2.3.4",
        "HELO=a+0D+0A",
        "HELO=a+20b",
        "NOTHING=1",
        "ADDR=1.2.3.4  PORT=1",
        "PROTO=HTTP",
        "PORT=123456",
    ] {
        check(&format!("XCLIENT {attributes}"), Err(Rejection::PARAMETERS));
    }
}
