//! Messages by SMS, through gateways that are asked over HTTP.

use std::{borrow::Cow, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use roost_net::client::{Client, Limits, Request};

use crate::{
    Error, ThirdPartyId,
    template::{Form, Template, TemplateError},
};

/// How much of a gateway's answer is read, and how long it may take.
const LIMITS: Limits = Limits { bytes: 64 * 1024, silence: Duration::from_secs(20), total: Duration::from_secs(25) };

/// What the body of a request may hold.
const VALUES: &[&str] = &["to", "digits", "country", "from", "text", "token", "server_name"];

/// What is sent when the operator has not said otherwise.
const BODY: &str = r#"{"to":"{{to}}","from":"{{from}}","text":"{{text}}"}"#;

/// A gateway, as the operator describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayOptions {
    /// The countries that it serves, as two capital letters; none: all that no other gateway serves.
    pub countries: Vec<String>,
    /// Where to POST.
    pub url: String,
    /// Further headers, such as `Authorization`.
    pub headers: Vec<(String, String)>,
    /// Who sends the message, as the gateway wants it.
    pub from: String,
    /// The kind of body: `application/json` (which it is when this is empty) or `application/x-www-form-urlencoded`.
    pub content_type: String,
    /// The body with its gaps; empty: JSON with `to`, `from` and `text`.
    pub body: String,
}

/// Why a gateway can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// The URL is none.
    #[error("{0:?} is no http or https URL")]
    Url(String),
    /// A header is none.
    #[error("{0:?} is no header")]
    Header(String),
    /// The body is no template.
    #[error("the body: {0}")]
    Body(#[from] TemplateError),
    /// The kind of body is unknown.
    #[error("{0:?} is neither application/json nor application/x-www-form-urlencoded")]
    ContentType(String),
    /// Two gateways serve the same country.
    #[error("two gateways serve {0}")]
    Twice(String),
}

/// A gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    countries: Vec<String>,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    content_type: &'static str,
    from: String,
    body: Template,
}

/// The gateways.
#[derive(Clone, Debug)]
pub struct Gateways(Vec<Gateway>);

impl Gateways {
    /// Gateways as the operator describes them.
    pub fn new(options: &[GatewayOptions]) -> Result<Self, GatewayError> {
        let gateways: Vec<Gateway> = options.iter().map(Gateway::new).collect::<Result<_, _>>()?;
        let mut seen = Vec::new();
        for gateway in &gateways {
            if gateway.countries.is_empty() {
                seen.push("the rest");
            }
            seen.extend(gateway.countries.iter().map(String::as_str));
        }
        seen.sort_unstable();
        match seen.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            Some([twice, ..]) => Err(GatewayError::Twice((*twice).to_owned())),
            _ => Ok(Self(gateways)),
        }
    }
}

impl Gateway {
    fn new(options: &GatewayOptions) -> Result<Self, GatewayError> {
        let url = url::Url::parse(&options.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if url.is_none() {
            return Err(GatewayError::Url(options.url.clone()));
        }
        let headers = options.headers.iter().map(|(name, value)| {
            let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
            match parsed {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    Ok((name, value))
                }
                _ => Err(GatewayError::Header(name.clone())),
            }
        });
        let (content_type, form) = match options.content_type.as_str() {
            "" | "application/json" => ("application/json", Form::Json),
            "application/x-www-form-urlencoded" => ("application/x-www-form-urlencoded", Form::Url),
            other => return Err(GatewayError::ContentType(other.to_owned())),
        };
        let body = if options.body.is_empty() { BODY } else { &options.body };
        Ok(Self {
            countries: options.countries.clone(),
            url: options.url.clone(),
            headers: headers.collect::<Result<_, _>>()?,
            content_type,
            from: options.from.clone(),
            body: Template::read(body, VALUES, form)?,
        })
    }
}

/// Sends messages.
pub(crate) struct Sms {
    pub(crate) gateways: Gateways,
    pub(crate) client: Client,
    pub(crate) text: Template,
    pub(crate) server_name: String,
}

impl Sms {
    /// The gateway for a number: the one of its country, or the one for all others.
    pub(crate) fn gateway(&self, id: &ThirdPartyId) -> Option<&Gateway> {
        let serves =
            |country: &str| self.gateways.0.iter().find(|gateway| gateway.countries.iter().any(|c| c == country));
        id.region().and_then(serves).or_else(|| self.gateways.0.iter().find(|gateway| gateway.countries.is_empty()))
    }

    pub(crate) async fn send(&self, gateway: &Gateway, id: &ThirdPartyId, token: &str) -> Result<(), Error> {
        let result = self.request(gateway, id, token).await;
        let outcome = if result.is_ok() { "sent" } else { "failed" };
        metrics::counter!("roost_identity_messages_total", "medium" => "msisdn", "outcome" => outcome).increment(1);
        result.map_err(|problem| {
            tracing::warn!(problem, gateway = host(&gateway.url), "an SMS could not be sent");
            Error::SmsSend
        })
    }

    async fn request(&self, gateway: &Gateway, id: &ThirdPartyId, token: &str) -> Result<(), String> {
        let text = self
            .text
            .fill(&[("server_name", Some(Cow::Borrowed(&self.server_name))), ("token", Some(Cow::Borrowed(token)))]);
        let body = gateway.body.fill(&[
            ("to", Some(Cow::Owned(format!("+{}", id.address())))),
            ("digits", Some(Cow::Borrowed(id.address()))),
            ("country", id.region().map(Cow::Borrowed)),
            ("from", Some(Cow::Borrowed(&gateway.from))),
            ("text", Some(Cow::Owned(text))),
            ("token", Some(Cow::Borrowed(token))),
            ("server_name", Some(Cow::Borrowed(&self.server_name))),
        ]);
        let request = Request::to_url(Method::POST, &gateway.url).map_err(|error| error.to_string())?;
        let mut request = request.json(body).limits(LIMITS);
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(gateway.content_type));
        for (name, value) in &gateway.headers {
            request.headers.insert(name.clone(), value.clone());
        }
        // Its answer may be anything; what counts is the status.
        let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
        if answer.status.is_success() { Ok(()) } else { Err(format!("the gateway answers {}", answer.status)) }
    }
}

/// A gateway as the log may name it: its URL can hold a key.
fn host(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(ToOwned::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(countries: &[&str]) -> GatewayOptions {
        let countries = countries.iter().map(|country| (*country).to_owned()).collect();
        GatewayOptions { countries, url: "https://sms.example/send".to_owned(), ..GatewayOptions::default() }
    }

    #[test]
    fn a_gateway_that_can_not_be_asked_is_refused() {
        let refused = |change: fn(&mut GatewayOptions)| {
            let mut options = gateway(&[]);
            change(&mut options);
            Gateways::new(&[options]).unwrap_err()
        };
        assert!(matches!(refused(|options| options.url = "ftp://x".to_owned()), GatewayError::Url(_)));
        assert!(matches!(refused(|options| options.body = "{{number}}".to_owned()), GatewayError::Body(_)));
        assert!(matches!(
            refused(|options| options.content_type = "text/xml".to_owned()),
            GatewayError::ContentType(_)
        ));
        assert!(matches!(
            refused(|options| options.headers = vec![("a b".to_owned(), String::new())]),
            GatewayError::Header(_)
        ));
    }

    #[test]
    fn two_gateways_for_one_country_are_refused() {
        assert!(Gateways::new(&[gateway(&["DE", "AT"]), gateway(&["FR"]), gateway(&[])]).is_ok());
        let twice = Gateways::new(&[gateway(&["DE", "AT"]), gateway(&["AT"])]).unwrap_err();
        assert_eq!(twice, GatewayError::Twice("AT".to_owned()));
        assert!(Gateways::new(&[gateway(&[]), gateway(&[])]).is_err());
    }
}
