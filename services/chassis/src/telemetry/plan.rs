//! What the `OTEL_*` variables ask for, decided without touching anything.
//!
//! The Rust SDK reads part of the standard variables itself: samplers, limits, batch processors, headers, compression and
//! temporality. This reads the rest. After the specification, a bad value is a warning and as good as none, and so is an
//! empty one; nothing of it ever stops a process.
//!
//! Decision: the specification's default exporter is `otlp` to localhost. Here a signal is pushed only if an endpoint or its
//! `OTEL_…_EXPORTER` is set, so that a process on a laptop doesn't complain about a collector that nobody meant.

use std::{fmt, time::Duration};

use http::Uri;

/// What is to be set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) traces: Exporters,
    pub(super) metrics: Exporters,
    pub(super) logs: Exporters,
    pub(super) propagators: Vec<Propagator>,
    /// `OTEL_SERVICE_NAME`, if set.
    pub(super) service_name: Option<String>,
    /// Of `OTEL_RESOURCE_ATTRIBUTES`.
    pub(super) attributes: Vec<(String, String)>,
    /// What could not be understood, for the log.
    pub(super) warnings: Vec<String>,
}

/// Where a signal goes. Nowhere by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exporters {
    pub(super) otlp: Option<Otlp>,
    pub(super) console: bool,
}

/// An OTLP exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Otlp {
    pub(super) protocol: Protocol,
    /// The entire URL, with the signal's path where the protocol has one.
    pub(super) endpoint: String,
    pub(super) timeout: Duration,
}

impl Otlp {
    /// Where it pushes to, without path and password.
    pub(super) fn peer(&self) -> String {
        let uri = self.endpoint.parse::<Uri>().unwrap_or_default();
        let port = uri.port_u16().map(|port| format!(":{port}"));
        format!("{}{}", uri.host().unwrap_or_default(), port.unwrap_or_default())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    HttpProtobuf,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Propagator {
    TraceContext,
    Baggage,
}

/// A signal's names: in variables, and in the path of OTLP over HTTP.
struct Signal {
    variable: &'static str,
    path: &'static str,
    /// Exporters that are known and need nothing set up: `/metrics` is always there.
    harmless: &'static [&'static str],
}

const TRACES: Signal = Signal { variable: "TRACES", path: "/v1/traces", harmless: &[] };
const METRICS: Signal = Signal { variable: "METRICS", path: "/v1/metrics", harmless: &["prometheus"] };
const LOGS: Signal = Signal { variable: "LOGS", path: "/v1/logs", harmless: &[] };

impl Plan {
    /// Reads the variables.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader { variable, warnings: Vec::new() };
        let (is_disabled, propagators) = (reader.is_disabled(), reader.propagators());
        let mut exporters =
            |signal| if is_disabled { Exporters::default() } else { reader.exporters(signal) };
        let (traces, metrics, logs) = (exporters(&TRACES), exporters(&METRICS), exporters(&LOGS));
        Self {
            traces,
            metrics,
            logs,
            propagators,
            service_name: reader.get("OTEL_SERVICE_NAME"),
            attributes: reader.attributes(),
            warnings: reader.warnings,
        }
    }
}

struct Reader<V> {
    variable: V,
    warnings: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The signal's own variable, or else the one for all signals; and which of the two.
    fn of_signal(&self, signal: &Signal, what: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.variable);
        let general = format!("OTEL_EXPORTER_OTLP_{what}");
        [own, general].into_iter().find_map(|name| Some((self.get(&name)?, name)))
    }

    fn warn(&mut self, name: &str, value: &str, problem: &str) {
        self.note(format!("{name}: {problem}, ignoring `{value}`"));
    }

    /// Once, though a variable for all signals is read for each.
    fn note(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn is_disabled(&mut self) -> bool {
        let name = "OTEL_SDK_DISABLED";
        match self.get(name) {
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if !value.eq_ignore_ascii_case("false") => {
                self.warn(name, &value, "expected `true` or `false`");
                false
            }
            _ => false,
        }
    }

    fn propagators(&mut self) -> Vec<Propagator> {
        let name = "OTEL_PROPAGATORS";
        let default = vec![Propagator::TraceContext, Propagator::Baggage];
        let Some(value) = self.get(name) else { return default };
        let (mut found, mut is_understood) = (Vec::new(), false);
        for item in value.split(',').map(str::trim) {
            let propagator = match item {
                "tracecontext" => Some(Propagator::TraceContext),
                "baggage" => Some(Propagator::Baggage),
                "none" => None,
                _ => {
                    self.warn(name, item, "expected `tracecontext`, `baggage` or `none`");
                    continue;
                }
            };
            is_understood = true;
            found.extend(propagator.filter(|propagator| !found.contains(propagator)));
        }
        if is_understood { found } else { default }
    }

    fn exporters(&mut self, signal: &Signal) -> Exporters {
        let name = format!("OTEL_{}_EXPORTER", signal.variable);
        let (mut otlp, mut console, mut is_understood) = (false, false, false);
        let value = self.get(&name).unwrap_or_default();
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match item {
                "otlp" => otlp = true,
                "console" => console = true,
                "none" => {}
                _ if signal.harmless.contains(&item) => {}
                _ => {
                    self.warn(&name, item, "expected `otlp`, `console` or `none`");
                    continue;
                }
            }
            is_understood = true;
        }
        let by_endpoint = !is_understood && self.of_signal(signal, "ENDPOINT").is_some();
        let otlp = if otlp || by_endpoint { self.otlp(signal, otlp) } else { None };
        Exporters { otlp, console }
    }

    /// The exporter; none if its endpoint can't be used, which is no endpoint, unless it was asked for by name.
    fn otlp(&mut self, signal: &Signal, is_named: bool) -> Option<Otlp> {
        let protocol = self.protocol(signal);
        let timeout = self.timeout(signal);
        let endpoint = match self.endpoint(signal, protocol) {
            Some(endpoint) => endpoint,
            None if is_named => match protocol {
                Protocol::Grpc => "http://localhost:4317".to_owned(),
                Protocol::HttpProtobuf => format!("http://localhost:4318{}", signal.path),
            },
            None => return None,
        };
        Some(Otlp { protocol, endpoint, timeout })
    }

    fn protocol(&mut self, signal: &Signal) -> Protocol {
        let Some((value, name)) = self.of_signal(signal, "PROTOCOL") else { return Protocol::HttpProtobuf };
        match value.as_str() {
            "grpc" => Protocol::Grpc,
            "http/protobuf" => Protocol::HttpProtobuf,
            _ => {
                self.warn(&name, &value, "expected `grpc` or `http/protobuf`");
                Protocol::HttpProtobuf
            }
        }
    }

    fn timeout(&mut self, signal: &Signal) -> Duration {
        let default = Duration::from_secs(10);
        let Some((value, name)) = self.of_signal(signal, "TIMEOUT") else { return default };
        value.parse().map(Duration::from_millis).unwrap_or_else(|_| {
            self.warn(&name, &value, "expected milliseconds");
            default
        })
    }

    fn endpoint(&mut self, signal: &Signal, protocol: Protocol) -> Option<String> {
        let (value, name) = self.of_signal(signal, "ENDPOINT")?;
        let url = match protocol {
            Protocol::Grpc if !value.contains("://") => format!("{}://{value}", self.grpc_scheme(signal)),
            _ => value.clone(),
        };
        let uri = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
        let problem = match uri.as_ref().and_then(Uri::scheme_str) {
            Some("http") => None,
            Some("https") => Some("TLS is not built in, push to a collector nearby over http"),
            _ => Some("expected an http URL"),
        };
        if let Some(problem) = problem {
            // Not with its value, in which there can be a password.
            self.note(format!("{name}: {problem}, ignoring it"));
            return None;
        }
        let is_general = name == "OTEL_EXPORTER_OTLP_ENDPOINT";
        let has_path = protocol == Protocol::HttpProtobuf && is_general;
        Some(if has_path { format!("{}{}", url.trim_end_matches('/'), signal.path) } else { url })
    }

    /// An address without a scheme is one with TLS, unless that is said not to be so.
    fn grpc_scheme(&self, signal: &Signal) -> &'static str {
        let insecure = self.of_signal(signal, "INSECURE");
        if insecure.is_some_and(|(value, _)| value.eq_ignore_ascii_case("true")) { "http" } else { "https" }
    }

    fn attributes(&mut self) -> Vec<(String, String)> {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        let mut attributes = Vec::new();
        for entry in self.get(name).unwrap_or_default().split(',').filter(|entry| !entry.trim().is_empty()) {
            match entry.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    attributes.push((key.trim().to_owned(), value.trim().to_owned()));
                }
                _ => self.warn(name, entry, "expected `key=value`"),
            }
        }
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
    const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

    fn plan(variables: &[(&str, &str)]) -> Plan {
        Plan::read(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// Where each signal goes: `grpc URL`, `http URL`, `console`, or nothing.
    fn told(plan: &Plan) -> [String; 3] {
        [&plan.traces, &plan.metrics, &plan.logs].map(|exporters| {
            let otlp = exporters.otlp.as_ref().map(|otlp| match otlp.protocol {
                Protocol::Grpc => format!("grpc {}", otlp.endpoint),
                Protocol::HttpProtobuf => format!("http {}", otlp.endpoint),
            });
            let console = exporters.console.then(|| "console".to_owned());
            otlp.into_iter().chain(console).collect::<Vec<_>>().join(" + ")
        })
    }

    #[test]
    fn signals_go_where_the_variables_say() {
        type Case = (&'static [(&'static str, &'static str)], [&'static str; 3]);
        let cases: [Case; 12] = [
            (&[], ["", "", ""]),
            (
                &[ENDPOINT],
                [
                    "http http://collector:4318/v1/traces",
                    "http http://collector:4318/v1/metrics",
                    "http http://collector:4318/v1/logs",
                ],
            ),
            (&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")], ["", "", ""]),
            (
                &[ENDPOINT, GRPC, ("OTEL_LOGS_EXPORTER", "none")],
                ["grpc http://collector:4318/", "grpc http://collector:4318/", ""],
            ),
            (
                &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1/here"), GRPC],
                ["grpc http://traces:1/here", "", ""],
            ),
            (&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:1/here")], ["", "http http://m:1/here", ""]),
            (
                &[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_METRICS_EXPORTER", "otlp"), GRPC],
                ["grpc http://localhost:4317", "grpc http://localhost:4317", ""],
            ),
            (
                &[
                    ("OTEL_TRACES_EXPORTER", " console , otlp,console"),
                    ("OTEL_METRICS_EXPORTER", "prometheus"),
                ],
                ["http http://localhost:4318/v1/traces + console", "", ""],
            ),
            (
                &[
                    ENDPOINT,
                    ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
                    ("OTEL_METRICS_EXPORTER", "prometheus"),
                ],
                ["http http://collector:4318/v1/traces", "", "grpc http://collector:4318/"],
            ),
            (
                &[
                    ENDPOINT,
                    ("OTEL_TRACES_EXPORTER", ""),
                    ("OTEL_METRICS_EXPORTER", "none"),
                    ("OTEL_LOGS_EXPORTER", "none"),
                ],
                ["http http://collector:4318/v1/traces", "", ""],
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
                    ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
                    GRPC,
                ],
                ["grpc http://collector:4317", "", ""],
            ),
            (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], ["", "", ""]),
        ];
        for (variables, expected) in cases {
            let plan = plan(variables);
            assert_eq!(told(&plan), expected, "{variables:?}");
            assert!(plan.warnings.is_empty(), "{variables:?}: {:?}", plan.warnings);
        }
    }

    #[test]
    fn a_bad_value_is_a_warning_and_as_good_as_none() {
        let http = "http http://collector:4318/v1/traces";
        let cases = [
            (("OTEL_SDK_DISABLED", "yes"), http, "expected `true` or `false`"),
            (("OTEL_TRACES_EXPORTER", "zipkin"), http, "expected `otlp`, `console` or `none`"),
            (("OTEL_TRACES_EXPORTER", "prometheus"), http, "expected `otlp`, `console` or `none`"),
            (("OTEL_TRACES_EXPORTER", "zipkin,none"), "", "expected `otlp`, `console` or `none`"),
            (("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"), http, "expected `grpc` or `http/protobuf`"),
            (("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s"), http, "expected milliseconds"),
            (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector"), "", "TLS is not built in"),
            (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector"), "", "expected an http URL"),
            (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix:///socket"), "", "expected an http URL"),
            (("OTEL_PROPAGATORS", "b3"), http, "expected `tracecontext`, `baggage` or `none`"),
            (("OTEL_RESOURCE_ATTRIBUTES", "nonsense"), http, "expected `key=value`"),
        ];
        for (bad, traces, warning) in cases {
            let plan =
                plan(&[ENDPOINT, ("OTEL_METRICS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none"), bad]);
            assert_eq!(told(&plan), [traces, "", ""], "{bad:?}");
            assert_eq!(plan.warnings.len(), 1, "{bad:?}: {:?}", plan.warnings);
            assert!(plan.warnings[0].starts_with(bad.0) && plan.warnings[0].contains(warning), "{plan:?}");
        }
    }

    #[test]
    fn a_bad_value_for_all_signals_is_told_once() {
        let plan = plan(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "x"),
        ]);
        assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
    }

    #[test]
    fn a_password_in_an_endpoint_is_told_to_nobody() {
        let name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let used = plan(&[(name, "http://me:hush@[::1]:4318/v1")]).traces.otlp.map(|otlp| otlp.peer());
        assert_eq!(used.as_deref(), Some("[::1]:4318"));
        for bad in ["https://me:hush@collector", "hush"] {
            let told = plan(&[(name, bad)]).warnings;
            assert!(told.len() == 1 && !told[0].contains("hush"), "{told:?}");
        }
    }

    #[test]
    fn propagators_are_a_list_of_which_none_is_the_empty_one() {
        use Propagator::{Baggage, TraceContext};
        let cases: [(&str, &[Propagator]); 6] = [
            ("", &[TraceContext, Baggage]),
            ("tracecontext", &[TraceContext]),
            ("baggage, tracecontext,baggage", &[Baggage, TraceContext]),
            ("none", &[]),
            ("b3,tracecontext", &[TraceContext]),
            ("b3", &[TraceContext, Baggage]),
        ];
        for (value, expected) in cases {
            assert_eq!(plan(&[("OTEL_PROPAGATORS", value)]).propagators, expected, "{value}");
        }
    }

    #[test]
    fn names_attributes_and_time_outs_are_read() {
        let plan = plan(&[
            ENDPOINT,
            ("OTEL_SERVICE_NAME", "edge"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test, k8s.pod.name = a=b,"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "500"),
        ]);
        assert_eq!(plan.traces.otlp.as_ref().map(Otlp::peer).as_deref(), Some("collector:4318"));
        assert_eq!(plan.service_name.as_deref(), Some("edge"));
        let attributes = [("deployment.environment.name", "test"), ("k8s.pod.name", "a=b")];
        assert_eq!(plan.attributes, attributes.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(plan.traces.otlp.map(|otlp| otlp.timeout), Some(Duration::from_millis(1500)));
        assert_eq!(plan.logs.otlp.map(|otlp| otlp.timeout), Some(Duration::from_millis(500)));
    }
}
