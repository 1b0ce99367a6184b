//! Who asks: requests of other servers are signed.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#request-authentication>

use axum::{body::Body, extract::FromRequest};
use bytes::Bytes;
use http::{Request, StatusCode};
use roost_federation::authenticate::Denied;
use roost_matrix::{error::ErrCode, ids::OwnedServerName};

use crate::{Error, State, body};

/// The most bytes of a request of another server: a transaction of fifty of the largest events and a hundred of the largest
/// other things.
const MAX_BODY: usize = 150 * 65_536;

/// A request of another server that has proved who it is, with its body.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) server: OwnedServerName,
    /// Empty, or a JSON object.
    pub(crate) body: Bytes,
}

impl FromRequest<State> for Origin {
    type Rejection = Error;

    async fn from_request(request: Request<Body>, state: &State) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let body = body::read_up_to(state, &parts.headers, body, MAX_BODY).await?;
        if !body.is_empty() {
            body::check_object(&body)?;
        }
        let uri = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let signed = Some(&*body).filter(|body| !body.is_empty());
        match state.federation.authenticate(&parts.method, uri, &parts.headers, signed).await {
            Ok(server) => {
                state.sender.heard_from(&server).await?;
                Ok(Self { server, body })
            }
            Err(Denied::Failed(error)) => Err(error.into()),
            Err(Denied::Body(error)) => Err(Error::bad_json(format!("The request body is {error}"))),
            Err(denied) => Err(Error::new(StatusCode::UNAUTHORIZED, ErrCode::Unauthorized, denied.to_string())),
        }
    }
}
