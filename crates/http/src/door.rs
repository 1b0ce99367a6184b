//! What every request passes through: an id, CORS, limits, a log line, metrics, and a net under panics.

use std::{
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{MatchedPath, State as Extract},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use roost_matrix::error::ErrCode;
use tracing::Instrument as _;

use crate::{Error, Front, limits::Class};

/// The other end of the connection; whoever accepts connections adds it to each request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Counts the requests of this process: the second half of a request's id.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// The outermost layer.
pub(crate) async fn pass(Extract(state): Extract<Front>, request: Request<Body>, next: Next) -> Response {
    let started = state.world.clock.monotonic();
    // Ids are ours alone: one from outside could forge lines of the log.
    let id = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let method = request.method().clone();
    let long = is_long(request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    // Never the query, which may carry an access token.
    let span = tracing::info_span!("request", id, %method, path = request.uri().path());

    let mut response = async {
        let mut response = caught(answer(&state, request, route.as_ref(), next)).await;
        allow_origins(response.headers_mut());
        let status = response.status();
        if leaves_body(status) || (long && !status.is_success()) {
            // What is left of the body is not waited for, so the client must not use the connection again.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let took = state.world.clock.monotonic().saturating_sub(started);
        tell(&state, &method, route.as_ref(), &response, took);
        response
    }
    .instrument(span)
    .await;
    response.headers_mut().insert("x-request-id", HeaderValue::from(id));
    response
}

/// An answer in any case: errors become Matrix errors, and so do panics, which the process's hook has logged by then.
async fn caught(answer: impl Future<Output = Result<Response, Error>>) -> Response {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.into_response(),
        Err(_) => Error::internal("a panic").into_response(),
    }
}

/// Whether a body may still be on its way when the answer is ready.
fn is_long(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length > 16 * 1024)
}

/// Whether a status says that the body was not read to its end.
fn leaves_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    )
}

async fn answer(
    state: &Front,
    request: Request<Body>,
    route: Option<&MatchedPath>,
    next: Next,
) -> Result<Response, Error> {
    if request.method() == Method::OPTIONS {
        // Clients ask with OPTIONS before anything else; the endpoint's own logic stays out of it.
        return Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{}").into_response());
    }
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if uri + headers > state.settings.max_head {
        let status = if uri > headers { StatusCode::URI_TOO_LONG } else { StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE };
        return Err(Error::new(status, ErrCode::TooLarge, "The request's path and headers are too large"));
    }
    if let Some(class) = route.and_then(|route| Class::of(request.method(), route.as_str()))
        && let Some(address) = client_address(state, request.headers(), request.extensions())
    {
        state.limits.address(class, address)?;
    }
    Ok(next.run(request).await)
}

/// The client's address: the connection's other end, or what a trusted proxy says.
pub(crate) fn client_address(state: &Front, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let named = state.settings.client_address_header.as_ref().and_then(|name| {
        // Proxies append, so only the last address was written by the one that is trusted.
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        let last = value.rsplit(',').next()?.trim();
        last.parse().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
    });
    named.or_else(|| extensions.get::<Peer>().map(|peer| peer.0.ip()))
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients>
fn allow_origins(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("X-Requested-With, Content-Type, Authorization"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After, X-Request-Id"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}

fn tell(state: &Front, method: &Method, route: Option<&MatchedPath>, response: &Response, took: Duration) {
    let status = response.status();
    let route = route.map_or("none", MatchedPath::as_str);
    // A method of the client's own making would make a label of its own making.
    let method = match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    state.tallies().count(route, method, status, took);
    let took = took.as_secs_f64() * 1000.0;
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), ms = took, "answered");
    } else if state.settings.log_requests {
        tracing::info!(status = status.as_u16(), ms = took, "answered");
    } else {
        tracing::debug!(status = status.as_u16(), ms = took, "answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_matrix_error() {
        let response = caught(async { panic!("a fault") }).now_or_never().unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = http_body_util::BodyExt::collect(response.into_body()).now_or_never().unwrap().unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["errcode"], "M_UNKNOWN");
        assert!(!body["error"].as_str().unwrap().contains("fault"), "the cause is not the client's business");
    }
}
