//! [Push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules).

mod defaults;

pub use defaults::default_rules_json;
