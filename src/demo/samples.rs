//! The demo's sample mails: a lab result with a PDF for a patient without a key, and the letter that follows it; a referral for a
//! colleague with an OpenPGP key; and a lunch note that passes.

use std::fmt::Write as _;
use std::net::SocketAddr;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use sealpost_gateway::ReversePath;
use sealpost_gateway::deliver::{Client, Content, NextHop, Outcome, Timeouts, TlsMode, Transmission, Trust};

use crate::exit::Failure;

/// A plain cross in a circle: the demo's clinic.
pub const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 48 48\" width=\"48\" height=\"48\">\
    <circle cx=\"24\" cy=\"24\" r=\"22\" fill=\"#0f6b6b\"/>\
    <path d=\"M20 12h8v8h8v8h-8v8h-8v-8h-8v-8h8z\" fill=\"#fff\"/></svg>\n";

const SENDER: (&str, &str) = ("Dr. Anna Weber", "anna.weber@klinik.example");
pub const PATIENT: (&str, &str) = ("Paula Patient", "paula.patient@mail.example");
const COLLEAGUE: (&str, &str) = ("Jonas Berger", "jonas.berger@partner.example");
/// Who has an OpenPGP key.
pub const KEY_HOLDER: (&str, &str) = ("Emil Olsen", "emil.olsen@partner.example");

/// Sends the samples that the demo begins with through the gateway's SMTP port.
pub async fn send(smtp: SocketAddr) -> Result<(), Failure> {
    let mails = [(lab_result()?, PATIENT), (referral()?, KEY_HOLDER), (lunch_note()?, COLLEAGUE)];
    submit(smtp, &mails).await
}

/// Sends the patient another letter.
pub async fn send_another(smtp: SocketAddr) -> Result<(), Failure> {
    submit(smtp, &[(advice()?, PATIENT)]).await
}

async fn submit(smtp: SocketAddr, mails: &[(Message, (&str, &str))]) -> Result<(), Failure> {
    let client =
        Client::new("workstation.klinik.example", Trust::system().map_err(Failure::system)?, Timeouts::default());
    let hop = NextHop { host: smtp.ip().to_string(), port: smtp.port(), tls: TlsMode::Opportunistic };
    for (mail, recipient) in mails {
        let mail = mail.formatted();
        let from = ReversePath::Address(SENDER.1.parse().map_err(Failure::data)?);
        let to = [recipient.1.parse().map_err(Failure::data)?];
        let handed = client
            .deliver(&hop, Transmission { reverse_path: &from, recipients: &to, content: Content::Whole(&mail) })
            .await;
        if !handed.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered(_))) {
            return Err(Failure::unavailable(format!("{smtp} did not take the sample mails: {:?}", handed.outcomes)));
        }
    }
    Ok(())
}

fn mailbox((name, address): (&str, &str)) -> Result<Mailbox, Failure> {
    let address: Address = address.parse().map_err(Failure::data)?;
    Ok(Mailbox::new(Some(name.to_owned()), address))
}

fn lab_result() -> Result<Message, Failure> {
    let text = "Dear Ms Patient,\r\n\r\nthe results of your blood test of Monday are in. All values but one are where they should be;\r\n\
        your vitamin D is a little low. You find the full report attached.\r\n\r\n\
        Please write back whether you take any supplements at the moment, then I can tell you what to do.\r\n\r\n\
        Kind regards\r\nAnna Weber\r\nInternal medicine, Klinikum Musterstadt\r\n";
    let html = "<p>Dear Ms Patient,</p>\
        <p>the results of your blood test of Monday are in. All values but one are where they should be; your vitamin D is a \
        little low. You find the full report attached.</p>\
        <table border=\"1\" cellpadding=\"6\" style=\"border-collapse: collapse\">\
        <tr><th align=\"left\">Value</th><th align=\"right\">Result</th><th align=\"left\">Normal</th></tr>\
        <tr><td>Haemoglobin</td><td align=\"right\">13.8 g/dl</td><td>12.0 to 15.5</td></tr>\
        <tr><td>Ferritin</td><td align=\"right\">61 µg/l</td><td>15 to 150</td></tr>\
        <tr><td><b>Vitamin D</b></td><td align=\"right\"><b>17 ng/ml</b></td><td>20 to 50</td></tr></table>\
        <p>Please write back whether you take any supplements at the moment, then I can tell you what to do.</p>\
        <p>Kind regards<br>Anna Weber<br>Internal medicine, Klinikum Musterstadt</p>";
    Message::builder()
        .from(mailbox(SENDER)?)
        .to(mailbox(PATIENT)?)
        .subject("[secure] Your lab results of Monday")
        .message_id(None)
        .multipart(
            MultiPart::mixed()
                .multipart(MultiPart::alternative_plain_html(text.to_owned(), html.to_owned()))
                .singlepart(
                    Attachment::new("Lab report.pdf".to_owned())
                        .body(report(), ContentType::parse("application/pdf").map_err(Failure::data)?),
                ),
        )
        .map_err(Failure::data)
}

fn advice() -> Result<Message, Failure> {
    plain(
        PATIENT,
        "[secure] What to do about your vitamin D",
        "Dear Ms Patient,\r\n\r\nplease take 1000 units of vitamin D a day until spring, with a meal. We look at the value again in \
         March; you needn't come before.\r\n\r\nKind regards\r\nAnna Weber\r\nInternal medicine, Klinikum Musterstadt\r\n",
    )
}

fn referral() -> Result<Message, Failure> {
    plain(
        KEY_HOLDER,
        "[secure] Referral: Ms Patient",
        "Dear Emil,\r\n\r\nMs Patient would like to see you about her knee. Could you find her an appointment next week? \
         The pictures are with her.\r\n\r\nAnna\r\n",
    )
}

fn lunch_note() -> Result<Message, Failure> {
    plain(
        COLLEAGUE,
        "Lunch on Thursday?",
        "Hello Jonas,\r\n\r\nwould half past twelve in the canteen suit you?\r\n\r\nAnna\r\n",
    )
}

fn plain(to: (&str, &str), subject: &str, text: &str) -> Result<Message, Failure> {
    Message::builder()
        .from(mailbox(SENDER)?)
        .to(mailbox(to)?)
        .subject(subject)
        .message_id(None)
        .singlepart(SinglePart::plain(text.to_owned()))
        .map_err(Failure::data)
}

/// A one-page PDF, written out: objects, their offsets, the table of offsets.
fn report() -> Vec<u8> {
    let lines = [
        "Klinikum Musterstadt - Laboratory report",
        "Patient: Paula Patient",
        "",
        "Haemoglobin   13.8 g/dl   (12.0 - 15.5)",
        "Ferritin      61 ug/l     (15 - 150)",
        "Vitamin D     17 ng/ml    (20 - 50)   low",
    ];
    let mut text = String::from("BT /F1 12 Tf 56 780 Td 18 TL\n");
    for line in lines {
        let escaped = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
        let _ = writeln!(text, "({escaped}) Tj T*");
    }
    text.push_str("ET\n");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{text}endstream", text.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>".to_owned(),
    ];
    let mut pdf = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        offsets.push(pdf.len());
        let _ = write!(pdf, "{} 0 obj\n{object}\nendobj\n", n + 1);
    }
    let table = pdf.len();
    let _ = write!(pdf, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        let _ = writeln!(pdf, "{offset:010} 00000 n ");
    }
    let _ = write!(pdf, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    pdf.into_bytes()
}
