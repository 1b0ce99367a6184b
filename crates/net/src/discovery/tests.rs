use std::{net::SocketAddr, time::Duration};

use super::*;
use crate::{
    client::Options,
    guard::Guard,
    network::Table,
    testing::{self, Answer, Authority, Seen, Server, TurnedClock},
};

const WEB: &str = "8.8.8.8";

struct House {
    discovery: Discovery,
    table: Table,
    clock: Arc<TurnedClock>,
    web: Server,
}

/// A discovery beside a web server at [`WEB`] that answers for a few hosts.
async fn house(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> House {
    let authority = Authority::new();
    let names = ["a.example", "www.a.example", "b.example"];
    let web = Server::start(Some(authority.server(&names, &[])), handler).await;
    let (world, clock) = testing::world();
    let table = Table::new();
    for name in names {
        table.host(name, &[WEB.parse().unwrap()]);
    }
    table.route(SocketAddr::new(WEB.parse().unwrap(), 443), web.address());
    let network: Arc<dyn Network> = Arc::new(table.clone());
    let client =
        Client::new(Arc::clone(&network), Guard::default(), &authority.trust(), Options::default(), world.clone());
    House { discovery: Discovery::new(client.unwrap(), network, world), table, clock, web }
}

impl House {
    /// Candidates, certificate and Host of a server.
    async fn find(&self, server: &str) -> (String, String, String) {
        let target = self.discovery.find(<&ServerName>::try_from(server).unwrap()).await.unwrap();
        let candidates = target.candidates().iter().map(Candidate::to_string).collect::<Vec<_>>().join(" ");
        (candidates, target.certificate_name(), target.authority().to_owned())
    }
}

fn is(candidates: &str, certificate: &str, host: &str) -> (String, String, String) {
    (candidates.to_owned(), certificate.to_owned(), host.to_owned())
}

fn nothing(_: &Seen) -> Answer {
    Answer::status(404)
}

fn delegating(to: &'static str) -> impl Fn(&Seen) -> Answer {
    move |seen| {
        assert_eq!(seen.uri.path(), "/.well-known/matrix/server");
        Answer::ok(format!(r#"{{"m.server":"{to}"}}"#))
    }
}

fn srv(priority: u16, port: u16, target: &str) -> Service {
    Service { priority, weight: 1, port, target: target.to_owned() }
}

#[tokio::test]
async fn step_1_an_ip_literal_is_used_as_it_is_with_its_port_or_8448() {
    let house = house(nothing).await;
    assert_eq!(house.find("9.9.9.9").await, is("9.9.9.9:8448", "9.9.9.9", "9.9.9.9"));
    assert_eq!(house.find("9.9.9.9:443").await, is("9.9.9.9:443", "9.9.9.9", "9.9.9.9:443"));
    assert_eq!(house.find("[2606:4700::1]").await, is("[2606:4700::1]:8448", "2606:4700::1", "[2606:4700::1]"));
    assert_eq!(house.find("[2606:4700::1]:1").await, is("[2606:4700::1]:1", "2606:4700::1", "[2606:4700::1]:1"));
    assert!(house.web.seen().is_empty() && house.table.lookups().is_empty());
}

#[tokio::test]
async fn step_2_an_explicit_port_is_used_without_asking_anybody() {
    let house = house(nothing).await;
    assert_eq!(house.find("A.example:8448").await, is("a.example:8448", "a.example", "a.example:8448"));
    assert!(house.web.seen().is_empty() && house.table.lookups().is_empty());
}

#[tokio::test]
async fn step_3_1_a_delegation_to_an_ip_literal_is_used_as_it_is() {
    let there = house(delegating("9.9.9.9")).await;
    assert_eq!(there.find("a.example").await, is("9.9.9.9:8448", "9.9.9.9", "9.9.9.9"));
    let there = house(delegating("[2606:4700::1]:4")).await;
    assert_eq!(there.find("a.example").await, is("[2606:4700::1]:4", "2606:4700::1", "[2606:4700::1]:4"));
}

#[tokio::test]
async fn step_3_2_a_delegation_with_a_port_goes_there_and_wants_its_certificate() {
    let house = house(delegating("matrix.b.example:443")).await;
    let found = house.find("a.example").await;
    assert_eq!(found, is("matrix.b.example:443", "matrix.b.example", "matrix.b.example:443"));
    assert_eq!(house.web.seen()[0].host(), "a.example");
}

#[tokio::test]
async fn steps_3_3_and_3_4_a_delegation_without_port_looks_for_srv_records_of_the_delegated_name() {
    let house = house(delegating("b.example")).await;
    house.table.service("_matrix._tcp.b.example", &[srv(1, 2, "old.example")]);
    assert_eq!(house.find("a.example").await, is("old.example:2", "b.example", "b.example"));
    house.table.service("_matrix-fed._tcp.b.example", &[srv(1, 1, "new.example")]);
    assert_eq!(house.find("a.example").await, is("new.example:1", "b.example", "b.example"));
}

#[tokio::test]
async fn step_3_5_a_delegation_without_port_and_srv_records_is_at_8448() {
    let house = house(delegating("b.example")).await;
    assert_eq!(house.find("a.example").await, is("b.example:8448", "b.example", "b.example"));
}

#[tokio::test]
async fn steps_4_and_5_without_delegation_the_srv_records_of_the_name_count() {
    let house = house(nothing).await;
    house.table.service("_matrix._tcp.a.example", &[srv(1, 2, "old.example")]);
    assert_eq!(house.find("a.example").await, is("old.example:2", "a.example", "a.example"));
    house.table.service("_matrix-fed._tcp.a.example", &[srv(9, 3, "c.example"), srv(1, 1, "b.example")]);
    assert_eq!(house.find("a.example").await, is("b.example:1 c.example:3", "a.example", "a.example"));
}

#[tokio::test]
async fn step_6_without_anything_the_server_is_at_8448() {
    let house = house(nothing).await;
    assert_eq!(house.find("a.example").await, is("a.example:8448", "a.example", "a.example"));
    // A name server that does not answer is no reason to give up.
    house.table.broken("_matrix-fed._tcp.b.example");
    assert_eq!(house.find("b.example").await, is("b.example:8448", "b.example", "b.example"));
}

#[tokio::test]
async fn an_srv_record_without_target_says_that_nobody_is_there() {
    let house = house(nothing).await;
    house.table.service("_matrix-fed._tcp.a.example", &[srv(0, 0, "")]);
    let error = house.discovery.find(<&ServerName>::try_from("a.example").unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::NoService(_)), "{error}");
}

#[tokio::test]
async fn an_invalid_well_known_counts_as_none() {
    let big = format!(r#"{{"m.server":"b.example","x":"{}"}}"#, "x".repeat(60_000));
    for answer in [
        Answer::ok("no JSON"),
        Answer::ok("{}"),
        Answer::ok(r#"{"m.server":7}"#),
        Answer::ok(r#"{"m.server":"https://b.example"}"#),
        Answer::ok(r#"{"m.server":"b.example:99999"}"#),
        Answer { status: 500, ..Answer::ok(r#"{"m.server":"b.example"}"#) },
        Answer::status(302).with("location", "/.well-known/matrix/server"),
        Answer::status(302).with("location", "https://127.0.0.1/"),
        Answer::ok(big),
    ] {
        let house = house(move |_| answer.clone()).await;
        assert_eq!(house.find("a.example").await, is("a.example:8448", "a.example", "a.example"));
        assert!(house.table.connected().iter().all(|address| !address.ip().is_loopback()));
    }
}

#[tokio::test]
async fn redirects_of_the_well_known_are_followed_and_any_content_type_is_json() {
    let house = house(|seen| match seen.host().as_str() {
        "a.example" => Answer::status(301).with("location", "https://www.a.example/elsewhere"),
        _ => Answer::ok(r#"{"m.server":"b.example:1"}"#).with("content-type", "text/html"),
    })
    .await;
    assert_eq!(house.find("a.example").await, is("b.example:1", "b.example", "b.example:1"));
}

#[tokio::test]
async fn answers_and_errors_are_remembered_by_the_worlds_clock() {
    let house = house(|seen| match seen.host().as_str() {
        "a.example" => Answer::ok(r#"{"m.server":"b.example:1"}"#).with("cache-control", "max-age=7200"),
        _ => Answer::status(404),
    })
    .await;
    let asked = |host: &str| house.web.seen().iter().filter(|seen| seen.host() == host).count();
    for _ in 0..3 {
        house.find("a.example").await;
        house.find("b.example").await;
    }
    assert_eq!((asked("a.example"), asked("b.example")), (1, 1));
    house.clock.advance(Duration::from_secs(301));
    house.find("a.example").await;
    house.find("b.example").await;
    assert_eq!((asked("a.example"), asked("b.example")), (1, 2));
    // The second failure in a row is remembered for longer.
    house.clock.advance(Duration::from_secs(301));
    house.find("b.example").await;
    assert_eq!(asked("b.example"), 2);
    house.clock.advance(Duration::from_secs(7200));
    house.find("a.example").await;
    assert_eq!(asked("a.example"), 2);
}

#[tokio::test]
async fn many_who_look_for_one_server_cause_one_request() {
    let house = house(delegating("b.example:1")).await;
    let all = (0..30).map(|_| house.find("a.example"));
    assert!(futures_util::future::join_all(all).await.iter().all(|found| found.0 == "b.example:1"));
    assert_eq!(house.web.seen().len(), 1);
}

#[tokio::test]
async fn an_explanation_names_every_step() {
    let house = house(nothing).await;
    let explanation = house.discovery.explain(<&ServerName>::try_from("a.example").unwrap()).await;
    let steps: Vec<_> = explanation.steps.iter().map(Step::to_string).collect();
    assert_eq!(
        steps,
        [
            "https://a.example/.well-known/matrix/server: no: the status is 404",
            "SRV _matrix-fed._tcp.a.example: no: there are no such records",
            "SRV _matrix._tcp.a.example: no: there are no such records",
            "the usual port: a.example:8448",
        ]
    );
}

#[test]
fn names_are_split_into_host_and_port() {
    let split = |name: &str| split(name).map(|(host, port)| (host.to_string(), port));
    assert_eq!(split("a.example"), Some(("a.example".to_owned(), None)));
    assert_eq!(split("A.Example:1"), Some(("a.example".to_owned(), Some(1))));
    assert_eq!(split("[::1]:8448"), Some(("::1".to_owned(), Some(8448))));
    assert_eq!(split("[::1]"), Some(("::1".to_owned(), None)));
    for wrong in ["", "a.example:", "a.example:65536", "a_b.example", "::1", "a.example/x", "a b", "[1.2.3.4]"] {
        assert_eq!(split(wrong), None, "{wrong}");
    }
}

#[tokio::test]
async fn srv_records_are_drawn_by_weight_within_a_priority() {
    let (world, _) = testing::world();
    let service = |weight, target: &str| Service { priority: 1, weight, port: 1, target: target.to_owned() };
    let mut first = 0;
    for _ in 0..1000 {
        let ordered = in_order(vec![service(90, "heavy"), service(10, "light"), srv(0, 1, "before")], &world);
        assert_eq!((ordered.len(), ordered[0].target.as_str()), (3, "before"));
        first += usize::from(ordered[1].target == "heavy");
    }
    assert!((800..980).contains(&first), "{first}");
}
