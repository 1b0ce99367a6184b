//! `event_fields`: which properties of an event a client wants.
//!
//! <https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What every event has in an answer, wanted or not: the specification's schema requires it, "a server may include more
/// fields than were requested", and a client can do little with an event that it can not name or place.
const ALWAYS: [&str; 5] = ["event_id", "origin_server_ts", "sender", "state_key", "type"];

/// The deepest path that is followed; what lies deeper is kept whole.
const MAX_DEPTH: usize = 16;

/// The wanted properties, as a tree.
#[derive(Clone, Debug, Default)]
pub struct Fields(Node);

#[derive(Clone, Debug, Default)]
struct Node {
    /// Whether this property is wanted as a whole.
    whole: bool,
    children: BTreeMap<String, Node>,
}

impl Fields {
    /// Reads the paths.
    #[must_use]
    pub fn new(paths: &[String]) -> Self {
        let mut root = Node::default();
        for path in paths.iter().map(String::as_str).chain(ALWAYS) {
            let mut node = &mut root;
            for part in split(path).into_iter().take(MAX_DEPTH) {
                node = node.children.entry(part).or_default();
            }
            node.whole = true;
        }
        Self(root)
    }

    /// The event with the wanted properties, with those that every event has, and with an object for its content even when
    /// nothing of that is wanted.
    #[must_use]
    pub fn prune(&self, event: &Map<String, Value>) -> Map<String, Value> {
        let mut kept = keep(&self.0, event);
        kept.entry("content").or_insert_with(|| Map::new().into());
        kept
    }
}

fn keep(node: &Node, object: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    for (name, child) in &node.children {
        match object.get(name) {
            Some(value) if child.whole => {
                kept.insert(name.clone(), value.clone());
            }
            Some(Value::Object(inner)) => {
                let inner = keep(child, inner);
                if !inner.is_empty() {
                    kept.insert(name.clone(), Value::Object(inner));
                }
            }
            _ => {}
        }
    }
    kept
}

/// The parts of a path: `.` separates, `\.` is a dot, `\\` a backslash, any other backslash stands for itself.
fn split(path: &str) -> Vec<String> {
    let mut parts = vec![];
    let mut part = String::new();
    let mut chars = path.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next_if(|next| matches!(next, '.' | '\\')) {
                Some(escaped) => part.push(escaped),
                None => part.push('\\'),
            },
            '.' => parts.push(std::mem::take(&mut part)),
            _ => part.push(char),
        }
    }
    parts.push(part);
    parts
}
