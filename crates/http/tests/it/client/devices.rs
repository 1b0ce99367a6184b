//! <https://spec.matrix.org/v1.19/client-server-api/#device-management>

use http::Method;
use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

use super::errcode;

const DEVICES: &str = "/_matrix/client/v3/devices";
const DELETE_DEVICES: &str = "/_matrix/client/v3/delete_devices";

fn path(device_id: &str) -> String {
    format!("{DEVICES}/{}", segment(device_id))
}

fn auth(user: &User, session: &Value) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user.id },
        "password": user.password,
        "session": session,
    })
}

async fn ids(user: &User) -> Vec<String> {
    let (status, body) = user.get(DEVICES).await;
    assert_eq!(status, 200, "{body}");
    let devices = body["devices"].as_array().expect("devices");
    devices.iter().map(|device| device["device_id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_user_sees_their_own_devices() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let phone = server.log_in(&alice).await;
    let mut expected = vec![alice.device_id.clone(), phone.device_id.clone()];
    expected.sort();
    assert_eq!(ids(&alice).await, expected);
    let (status, body) = alice.get(&path(&alice.device_id)).await;
    assert_eq!((status, &body["device_id"]), (200, &json!(alice.device_id)));
    assert_eq!(body.get("display_name"), None);
    assert!(body["last_seen_ts"].as_u64().is_some(), "{body}");
    assert_eq!(body["last_seen_ip"], "127.0.0.1");
    for unknown in [path(&bob.device_id), path("NOTHING"), path("a/b")] {
        let (status, body) = alice.get(&unknown).await;
        assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"), "{unknown}");
    }
}

#[tokio::test]
async fn devices_can_be_renamed() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let own = path(&alice.device_id);
    assert_eq!(alice.put(&own, &json!({ "display_name": "Tea" })).await, (200, json!({})));
    assert_eq!(alice.get(&own).await.1["display_name"], "Tea");
    assert_eq!(alice.put(&own, &json!({})).await, (200, json!({})));
    assert_eq!(alice.get(&own).await.1["display_name"], "Tea", "what is not given is not changed");
    for request in [json!({ "display_name": "x" }), json!({})] {
        let (status, body) = alice.put(&path("NOTHING"), &request).await;
        assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"));
    }
    let (status, body) = alice.put(&own, &json!({ "display_name": 7 })).await;
    assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"));
    let (status, body) = alice.put(&own, &json!({ "display_name": "x".repeat(5000) })).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn removing_a_device_needs_the_password_and_ends_its_session() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let phone = server.log_in(&alice).await;
    let target = path(&phone.device_id);
    // Some clients send no body at first.
    let (status, offer) = alice.request(Method::DELETE, &target, None).await;
    assert_eq!((status, &offer["flows"]), (401, &json!([{ "stages": ["m.login.password"] }])));
    let mut wrong = auth(&alice, &offer["session"]);
    wrong["password"] = json!("wrong");
    let (status, body) = alice.request(Method::DELETE, &target, Some(&json!({ "auth": wrong }))).await;
    assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"));
    assert_eq!(phone.get(DEVICES).await.0, 200);
    let request = json!({ "auth": auth(&alice, &offer["session"]) });
    assert_eq!(alice.request(Method::DELETE, &target, Some(&request)).await, (200, json!({})));
    let (status, body) = phone.get(DEVICES).await;
    assert_eq!((status, errcode(&body)), (401, "M_UNKNOWN_TOKEN"));
    assert_eq!(ids(&alice).await, std::slice::from_ref(&alice.device_id));
    let again = json!({ "auth": auth(&alice, &Value::Null) });
    assert_eq!(alice.request(Method::DELETE, &target, Some(&again)).await.0, 200, "it had been removed before");
}

#[tokio::test]
async fn a_session_for_one_device_does_not_remove_another() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let phone = server.log_in(&alice).await;
    let (_, offer) = alice.request(Method::DELETE, &path("NOTHING"), None).await;
    let request = json!({ "auth": auth(&alice, &offer["session"]) });
    let (status, body) = alice.request(Method::DELETE, &path(&phone.device_id), Some(&request)).await;
    assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"));
    assert_eq!(ids(&alice).await.len(), 2);
}

#[tokio::test]
async fn nobody_removes_the_devices_of_others() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let request = json!({ "auth": auth(&alice, &Value::Null) });
    assert_eq!(alice.request(Method::DELETE, &path(&bob.device_id), Some(&request)).await.0, 200);
    assert_eq!(ids(&bob).await, std::slice::from_ref(&bob.device_id));
    let request = json!({ "devices": [bob.device_id], "auth": auth(&bob, &Value::Null) });
    let (status, body) = alice.post(DELETE_DEVICES, &request).await;
    assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"), "with another's password");
    assert_eq!(ids(&bob).await, std::slice::from_ref(&bob.device_id));
}

#[tokio::test]
async fn several_devices_can_be_removed_at_once() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (phone, tablet) = (server.log_in(&alice).await, server.log_in(&alice).await);
    let devices = json!([phone.device_id, tablet.device_id, "NOTHING"]);
    let (status, offer) = alice.post(DELETE_DEVICES, &json!({ "devices": devices })).await;
    assert_eq!(status, 401);
    let swapped = json!({ "devices": [alice.device_id], "auth": auth(&alice, &offer["session"]) });
    let (status, body) = alice.post(DELETE_DEVICES, &swapped).await;
    assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"), "the session was about others");
    let request = json!({ "devices": devices, "auth": auth(&alice, &offer["session"]) });
    assert_eq!(alice.post(DELETE_DEVICES, &request).await, (200, json!({})));
    assert_eq!(ids(&alice).await, std::slice::from_ref(&alice.device_id));
    assert_eq!((phone.get(DEVICES).await.0, tablet.get(DEVICES).await.0), (401, 401));
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for request in [json!({}), json!({ "devices": "all" }), json!({ "devices": [7] })] {
        let (status, body) = alice.post(DELETE_DEVICES, &request).await;
        assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"), "{request}");
    }
    for (method, path) in
        [(Method::GET, DEVICES), (Method::POST, DELETE_DEVICES), (Method::DELETE, "/_matrix/client/v3/devices/X")]
    {
        let answer = server.client().raw(method, path, &[], "{}").await;
        assert_eq!((answer.status, errcode(&answer.json())), (401, "M_MISSING_TOKEN"), "{path}");
    }
}
