//! <https://spec.matrix.org/v1.19/client-server-api/#push-rules-api>

use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

const BASE: &str = "/_matrix/client/v3/pushrules";

async fn alice() -> (Server, User) {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    (server, alice)
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|rule| rule["rule_id"].as_str().unwrap()).collect()
}

async fn put(user: &User, below: &str, body: &Value) -> (u16, Value) {
    user.put(&format!("{BASE}/global/{below}"), body).await
}

#[tokio::test]
async fn everybody_starts_with_the_servers_rules() {
    let (_server, alice) = alice().await;
    for (path, pointer) in [("/", "/global"), ("", "/global"), ("/global/", ""), ("/global", "")] {
        let (status, answer) = alice.get(&format!("{BASE}{path}")).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let rules = answer.pointer(pointer).unwrap();
        assert_eq!(rules["override"][0]["rule_id"], ".m.rule.master");
        for kind in ["override", "content", "room", "sender", "underride"] {
            for rule in rules[kind].as_array().unwrap() {
                assert!(rule["default"] == true && rule["actions"].is_array() && rule["enabled"].is_boolean());
            }
        }
    }
}

#[tokio::test]
async fn one_rule_can_be_read_with_its_actions_and_whether_it_is_enabled() {
    let (_server, alice) = alice().await;
    let (status, rule) = alice.get(&format!("{BASE}/global/override/.m.rule.master")).await;
    assert_eq!((status, &rule["rule_id"], &rule["enabled"]), (200, &json!(".m.rule.master"), &json!(false)));
    let (status, answer) = alice.get(&format!("{BASE}/global/override/.m.rule.master/enabled")).await;
    assert_eq!((status, answer), (200, json!({"enabled": false})));
    let (status, answer) = alice.get(&format!("{BASE}/global/underride/.m.rule.message/actions")).await;
    assert_eq!((status, &answer["actions"][0]), (200, &json!("notify")));
}

#[tokio::test]
async fn a_rule_or_kind_that_does_not_exist_is_said_to_be_missing() {
    let (_server, alice) = alice().await;
    for below in ["override/nobody", "override/nobody/enabled", "override/nobody/actions"] {
        let (status, answer) = alice.get(&format!("{BASE}/global/{below}")).await;
        assert_eq!((status, &answer["errcode"]), (404, &json!("M_NOT_FOUND")), "{below}");
    }
    let (status, answer) = put(&alice, "override/nobody/enabled", &json!({"enabled": true})).await;
    assert_eq!((status, &answer["errcode"]), (404, &json!("M_NOT_FOUND")));
    let (status, answer) = alice.delete(&format!("{BASE}/global/room/nobody")).await;
    assert_eq!((status, &answer["errcode"]), (404, &json!("M_NOT_FOUND")));
    let (status, answer) = alice.get(&format!("{BASE}/global/sideways/x")).await;
    assert_eq!((status, &answer["errcode"]), (400, &json!("M_INVALID_PARAM")));
}

#[tokio::test]
async fn a_users_rules_can_be_added_changed_and_deleted() {
    let (_server, alice) = alice().await;
    let room = segment("!room:example.org");
    assert_eq!(put(&alice, &format!("room/{room}"), &json!({"actions": []})).await, (200, json!({})));
    let path = format!("{BASE}/global/room/{room}");
    let (_, rule) = alice.get(&path).await;
    assert_eq!(rule, json!({"rule_id": "!room:example.org", "default": false, "enabled": true, "actions": []}));
    assert_eq!(put(&alice, &format!("room/{room}/enabled"), &json!({"enabled": false})).await.0, 200);
    assert_eq!(put(&alice, &format!("room/{room}/actions"), &json!({"actions": ["notify"]})).await.0, 200);
    let (_, rule) = alice.get(&path).await;
    assert_eq!((&rule["enabled"], &rule["actions"]), (&json!(false), &json!(["notify"])));
    assert_eq!(alice.delete(&path).await, (200, json!({})));
    assert_eq!(alice.get(&path).await.0, 404);
}

#[tokio::test]
async fn rules_stand_where_before_and_after_say() {
    let (_server, alice) = alice().await;
    let rule = json!({"pattern": "x", "actions": ["notify"]});
    for below in ["content/a", "content/b", "content/c?after=b", "content/d?before=a&after=b"] {
        let (status, answer) = put(&alice, below, &rule).await;
        assert_eq!(status, 200, "{below}: {answer}");
    }
    let (_, rules) = alice.get(&format!("{BASE}/global/")).await;
    assert_eq!(ids(&rules["content"])[..4], ["b", "c", "d", "a"]);
    for neighbour in ["nobody", ".m.rule.contains_user_name"] {
        let (status, answer) = put(&alice, &format!("content/e?before={neighbour}"), &rule).await;
        assert_eq!((status, &answer["errcode"]), (400, &json!("M_UNKNOWN")), "{neighbour}");
    }
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused() {
    let (_server, alice) = alice().await;
    for (below, body, errcode) in [
        ("content/.mine", json!({"pattern": "x", "actions": []}), "M_INVALID_PARAM"),
        ("content/a%2Fb", json!({"pattern": "x", "actions": []}), "M_INVALID_PARAM"),
        ("content/a%5Cb", json!({"pattern": "x", "actions": []}), "M_INVALID_PARAM"),
        ("content/a", json!({"actions": []}), "M_MISSING_PARAM"),
        ("content/a", json!({"pattern": "x"}), "M_BAD_JSON"),
        ("content/a", json!({"pattern": "x", "actions": "notify"}), "M_BAD_JSON"),
        ("override/a", json!({"actions": ["explode"]}), "M_INVALID_PARAM"),
        ("override/.m.rule.master/enabled", json!({}), "M_BAD_JSON"),
        ("override/.m.rule.master/actions", json!({"actions": [7]}), "M_INVALID_PARAM"),
    ] {
        let (status, answer) = put(&alice, below, &body).await;
        assert_eq!((status, &answer["errcode"]), (400, &json!(errcode)), "{below} {body}: {answer}");
    }
    let (status, answer) = alice.delete(&format!("{BASE}/global/override/.m.rule.master")).await;
    assert_eq!((status, &answer["errcode"]), (400, &json!("M_INVALID_PARAM")));
}
