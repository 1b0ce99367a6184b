use roost_net::testing::Answer as Http;

use crate::testing::{answer, house, name, signed};

#[tokio::test]
async fn the_report_names_each_step_and_says_whether_the_server_can_be_talked_with() {
    let house = house(&[]).await;
    let says = signed(&answer("a.example:1", &[1], &[], house.in_hours(1)), "a.example:1", 1);
    let _server = house
        .peer("a.example", move |seen| match seen.uri.path() {
            "/_matrix/key/v2/server" => Http::ok(says.to_string()),
            _ => Http::ok(r#"{"server":{"name":"Else\u001b[1m","version":"1.2"}}"#),
        })
        .await;
    let report = house.federation.peers.examine(&name("a.example:1"), house.world.now_ms()).await;
    let steps: Vec<_> = report.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "the name has a port: a.example:1",
            "what is expected there: certificate for a.example, Host a.example:1",
            "GET /_matrix/key/v2/server: 1 key(s), rightly signed: ed25519:k1",
            "GET /_matrix/federation/v1/version: Else[1m 1.2",
        ]
    );
    assert!(report.reachable);
}

#[tokio::test]
async fn the_report_says_what_failed() {
    let house = house(&[]).await;
    let report = house.federation.peers.examine(&name("127.0.0.1:1"), house.world.now_ms()).await;
    assert!(!report.reachable);
    let steps: Vec<_> = report.steps.iter().map(ToString::to_string).collect();
    assert!(steps.iter().any(|step| step.contains("no public address")), "{steps:#?}");
    let _server = house.peer("b.example", |_| Http::ok("{}")).await;
    let report = house.federation.peers.examine(&name("b.example:1"), house.world.now_ms()).await;
    assert!(!report.reachable);
}
