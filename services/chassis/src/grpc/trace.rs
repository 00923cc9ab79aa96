//! W3C trace context, in gRPC metadata and as text in stream entries.

use std::collections::HashMap;

use http::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Puts the current span's context into a request's headers.
pub(super) fn inject(headers: &mut HeaderMap) {
    let context = Span::current().context();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Headers(headers));
    });
}

/// Makes `span` a child of the caller's, from a request's metadata.
pub fn continue_from_metadata(span: &Span, metadata: &tonic::metadata::MetadataMap) {
    let parent =
        opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&Metadata(metadata)));
    if parent.span().span_context().is_valid() {
        // It fails only if the span is disabled or has begun to record; then there is nothing to connect.
        let _ = span.set_parent(parent);
    }
}

/// A span's context as a `traceparent` value, or nothing where it is not sampled.
#[must_use]
pub fn traceparent(span: &Span) -> String {
    let context = span.context();
    if !context.span().span_context().is_sampled() {
        return String::new();
    }
    let mut fields = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut fields);
    fields.remove("traceparent").unwrap_or_default()
}

/// Makes `span` a child of the one that a `traceparent` value names. Does nothing where the value is empty or bad.
pub fn continue_from(span: &Span, traceparent: &str) {
    if traceparent.is_empty() {
        return;
    }
    let fields = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract(&fields);
    if parent.span().span_context().is_valid() {
        // See above.
        let _ = span.set_parent(parent);
    }
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (http::HeaderName::try_from(key), http::HeaderValue::try_from(value)) {
            self.0.insert(key, value);
        }
    }
}

struct Metadata<'a>(&'a tonic::metadata::MetadataMap);

impl Extractor for Metadata<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .keys()
            .filter_map(|key| match key {
                tonic::metadata::KeyRef::Ascii(key) => Some(key.as_str()),
                tonic::metadata::KeyRef::Binary(_) => None,
            })
            .collect()
    }
}
