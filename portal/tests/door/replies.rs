//! Sealed replies: begun, uploaded, sent, asked after; bounded; whoever began one owns it.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::errands::{Answer, Errand};
use sealpost_vault::id::{PickupId, ReplyId};
use sealpost_vault::uploads::{MAX_PART, MAX_PARTS, MAX_REPLY, parts};

use crate::bench::{Bench, Browser, LARGE};

fn begin(pickup: PickupId, reply: ReplyId) -> String {
    format!("{{\"pickup\":\"{pickup}\",\"reply\":\"{reply}\"}}")
}

fn send(parts: u32) -> String {
    format!("{{\"keyPacket\":\"{}\",\"parts\":{parts}}}", URL_SAFE_NO_PAD.encode([5; 100]))
}

/// A reader who has begun a reply.
async fn begun(bench: &Bench) -> (Browser, PickupId, ReplyId) {
    let pickup = bench.letter().await;
    let mut browser = bench.proven(pickup).await;
    let reply = ReplyId::random().unwrap();
    let answer = browser.post("/api/replies", &begin(pickup, reply)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    (browser, pickup, reply)
}

#[tokio::test]
async fn a_reply_reaches_the_gateway_as_it_was_uploaded() {
    let bench = Bench::new().await;
    *bench.gateway.to_replies.lock().unwrap() = Some(Answer::Taken);
    let (mut browser, pickup, reply) = begun(&bench).await;
    let path = format!("/api/replies/{reply}");
    assert_eq!(browser.get(&path).await.json()["state"], "open");
    // The second part is uploaded twice, large and then small: the last one counts and leaves no blob behind.
    for (n, content) in [(0, vec![1; 4096]), (1, vec![3; LARGE]), (1, vec![2; 5000]), (2, vec![4; LARGE])] {
        let answer = browser.put(&format!("{path}/parts/{n}"), content).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    }
    let stored = parts(&bench.vault, &bench.blobs, reply, 3).await.unwrap().unwrap();
    assert!(stored == [vec![1; 4096], vec![2; 5000], vec![4; LARGE]]);
    assert_eq!(blobs(&bench), 1);
    let answer = browser.post(&format!("{path}/send"), &send(3)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (200, &"taken".into()));
    assert!(bench.gateway.heard.lock().unwrap().iter().any(|errand| matches!(errand,
        Errand::Reply { pickup: p, reply: r, key_packet, parts: 3 }
            if *p == pickup && *r == reply && key_packet.0 == [5; 100])));
    // The sealed parts are gone, the answer stays; sending again is no second errand.
    assert_eq!((bench.count("upload_parts").await, blobs(&bench)), (0, 0));
    assert_eq!(browser.get(&path).await.json()["state"], "taken");
    assert_eq!(browser.post(&format!("{path}/send"), &send(3)).await.json()["state"], "taken");
    assert_eq!(bench.gateway.heard("reply"), 1);
}

/// Replies' blobs on disk.
fn blobs(bench: &Bench) -> usize {
    let replies = bench.directory.path().join("blobs").join("replies");
    std::fs::read_dir(replies)
        .map_or(0, |directories| directories.map(|each| std::fs::read_dir(each.unwrap().path()).unwrap().count()).sum())
}

#[tokio::test]
async fn a_gateway_that_is_down_takes_it_later() {
    let bench = Bench::new().await;
    let (mut browser, _, reply) = begun(&bench).await;
    let path = format!("/api/replies/{reply}");
    browser.put(&format!("{path}/parts/0"), vec![1; 4096]).await;
    let (mut other_tab, sending) = (browser.clone(), send(1));
    let send_path = format!("{path}/send");
    let (waiting, while_waiting) = tokio::join!(browser.post(&send_path, &sending), async {
        // As soon as it was handed over, nothing of it can be changed any more.
        while other_tab.get(&path).await.json()["state"] == "open" {
            tokio::task::yield_now().await;
        }
        other_tab.put(&format!("{path}/parts/0"), vec![9; 4096]).await
    });
    while_waiting.refused(409, "conflict");
    assert_eq!((waiting.status.as_u16(), &waiting.json()["state"]), (202, &"waiting".into()));
    *bench.gateway.to_replies.lock().unwrap() = Some(Answer::Refused);
    assert_eq!(browser.post(&send_path, &send(1)).await.json()["state"], "refused");
    assert_eq!(browser.get(&path).await.json()["state"], "refused");
    assert_eq!(bench.gateway.heard("reply"), 1);
}

#[tokio::test]
async fn a_reply_belongs_to_the_session_that_began_it() {
    let bench = Bench::new().await;
    let (mut owner, pickup, reply) = begun(&bench).await;
    owner.put(&format!("/api/replies/{reply}/parts/0"), vec![1; 10]).await;
    let mut other = bench.proven(pickup).await;
    let unknown = ReplyId::random().unwrap();
    for id in [reply.to_string(), unknown.to_string(), "nonsense".to_owned()] {
        let path = format!("/api/replies/{id}");
        other.get(&path).await.refused(404, "not-available");
        other.put(&format!("{path}/parts/0"), vec![2; 10]).await.refused(404, "not-available");
        other.post(&format!("{path}/send"), &send(1)).await.refused(404, "not-available");
    }
    other.post("/api/replies", &begin(pickup, reply)).await.refused(409, "conflict");
    bench.browser().post("/api/replies", &begin(pickup, unknown)).await.refused(404, "not-available");
    assert_eq!(owner.post("/api/replies", &begin(pickup, reply)).await.status, 201, "its owner may begin again");
    // It stays the owner's when a further proof renews his session.
    let request = owner.ask_code(&format!("{{\"pickup\":\"{pickup}\"}}")).await;
    assert_eq!(owner.prove(&request, crate::bench::CODE).await.status, 200);
    assert_eq!(owner.get(&format!("/api/replies/{reply}")).await.json()["state"], "open");
}

#[tokio::test]
async fn uploads_are_bounded() {
    let bench = Bench::new().await;
    let (mut browser, _, reply) = begun(&bench).await;
    let path = format!("/api/replies/{reply}/parts");
    browser.put(&format!("{path}/{MAX_PARTS}"), vec![1; 10]).await.refused(413, "too-large");
    browser.put(&format!("{path}/-1"), vec![1; 10]).await.refused(413, "too-large");
    browser.put(&format!("{path}/x"), vec![1; 10]).await.refused(400, "bad-request");
    browser.put(&format!("{path}/0"), Vec::new()).await.refused(400, "bad-request");
    // Announced, and not announced.
    let announced = Request::put(format!("{path}/0")).header("content-length", MAX_PART + 1).body(Body::empty());
    browser.send(announced.unwrap()).await.refused(413, "too-large");
    browser.put(&format!("{path}/0"), vec![1; MAX_PART + 1]).await.refused(413, "too-large");
    // Together; the part that is uploaded again counts once.
    assert_eq!(browser.put(&format!("{path}/0"), vec![1; MAX_PART]).await.status, 204);
    assert_eq!(browser.put(&format!("{path}/0"), vec![1; MAX_PART]).await.status, 204);
    let left = usize::try_from(MAX_REPLY).unwrap() - MAX_PART;
    browser.put(&format!("{path}/1"), vec![1; left + 1]).await.refused(413, "too-large");
    assert_eq!(browser.put(&format!("{path}/1"), vec![1; left]).await.status, 204);
    browser.put(&format!("{path}/2"), vec![1]).await.refused(413, "too-large");
    let send_path = format!("/api/replies/{reply}/send");
    browser.post(&send_path, &send(3)).await.refused(409, "incomplete");
    browser.post(&send_path, &send(1)).await.refused(409, "incomplete");
    let key_packet =
        |size: usize| format!("{{\"keyPacket\":\"{}\",\"parts\":2}}", URL_SAFE_NO_PAD.encode(vec![5; size]));
    browser.post(&send_path, &key_packet(0)).await.refused(400, "bad-request");
    browser.post(&send_path, &key_packet(1025)).await.refused(400, "bad-request");
}

#[tokio::test]
async fn a_session_has_few_open_replies() {
    let bench = Bench::new().await;
    let (mut browser, pickup, _) = begun(&bench).await;
    for _ in 1..10 {
        assert_eq!(browser.post("/api/replies", &begin(pickup, ReplyId::random().unwrap())).await.status, 201);
    }
    browser.post("/api/replies", &begin(pickup, ReplyId::random().unwrap())).await.refused(429, "too-many");
}
