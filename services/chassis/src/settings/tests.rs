//! A table of what operators get wrong, and of what they get right.

use std::{collections::HashMap, io::Write as _};

use super::*;

const SECRET: &str = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";

/// The settings of a service that needs something of everything.
#[derive(Clone, Debug, clap::Args)]
struct Config {
    /// Where the others are.
    #[arg(long, env = "STROLL_PEERS", value_name = "URL")]
    peers: crate::grpc::Targets,
    /// How many.
    #[arg(long, env = "STROLL_CONNECTIONS", default_value_t = 32)]
    connections: u32,
    /// Which networks.
    #[arg(long, env = "STROLL_NETWORKS", value_delimiter = ',')]
    networks: Vec<std::net::IpAddr>,
    /// Where the data is.
    #[arg(long, env = "STROLL_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Whether to be kind.
    #[arg(long, env = "STROLL_KIND")]
    kind: bool,
    /// On what failure.
    #[arg(long, env = "STROLL_ON_FAILURE", value_parser = ["hold", "go-on"], default_value = "hold")]
    on_failure: String,
}

impl Settings for Config {
    const ADMIN_LISTEN: &'static str = "127.0.0.1:9099";

    fn problems(&self) -> Vec<String> {
        let none = (self.connections == 0).then(|| "--connections has to be above 0".to_owned());
        none.into_iter().collect()
    }
}

fn parse_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Parsed<Config>, Refusal> {
    let environment: HashMap<_, _> = environment.iter().copied().collect();
    let lookup = |name: &str| environment.get(name).map(OsString::from);
    parse("stroll-test", arguments.iter().map(OsString::from), lookup)
}

fn problems(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    match parse_with(arguments, environment) {
        Err(Refusal::Problems(problems)) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

const GOOD: [(&str, &str); 2] = [("STROLL_PEERS", "http://peer:1"), ("STROLL_SECRET", SECRET)];

fn file_with(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(content.as_bytes()).expect("to write");
    file
}

#[test]
fn a_flag_wins_over_its_variable_and_both_over_the_default() {
    let parsed = parse_with(&[], &GOOD).expect("good settings");
    assert_eq!(parsed.common.admin_listen.to_string(), "127.0.0.1:9099");
    assert_eq!(parsed.common.drain, Duration::from_secs(60));
    assert_eq!((parsed.service.connections, parsed.service.kind), (32, false));
    assert_eq!((parsed.common.log, parsed.service.networks), (None, vec![]));

    let environment = [
        GOOD[0],
        GOOD[1],
        ("STROLL_CONNECTIONS", "5"),
        ("STROLL_DRAIN", "2m"),
        ("STROLL_NETWORKS", "::1,127.0.0.1"),
        ("STROLL_KIND", "true"),
        ("STROLL_ON_FAILURE", ""),
        ("STROLL_LOG", "warn,stroll_relay=debug"),
    ];
    let parsed =
        parse_with(&["--connections", "7", "--admin-listen=[::1]:0"], &environment).expect("good settings");
    assert_eq!((parsed.service.connections, parsed.service.kind), (7, true));
    assert_eq!(parsed.common.drain, Duration::from_secs(120));
    assert_eq!(parsed.common.admin_listen.to_string(), "[::1]:0");
    assert_eq!(parsed.service.networks.len(), 2);
    assert_eq!(parsed.service.on_failure, "hold", "an empty variable is as good as none");
    assert_eq!(parsed.common.log.as_deref(), Some("warn,stroll_relay=debug"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let arguments =
        ["--bogus", "value", "--drain", "soon", "--conections=1", "stray", "--on-failure=panic", "-x"];
    let environment = [
        ("STROLL_CONNECTIONS", "many"),
        ("STROLL_NETWORKS", "::1,here"),
        ("STROLL_SECRET", "dG9vIHNob3J0"),
        ("STROLL_KIND", "perhaps"),
        ("STROLL_LOG", "stroll=[nonsense"),
    ];
    let mut told = problems(&arguments, &environment);
    told.sort();
    let expected = [
        "--bogus: no such setting",
        "--conections: no such setting, did you mean --connections?",
        "--drain: invalid value 'soon': expected a duration such as `500ms`, `5s`, `2m` or `1h`",
        "--on-failure: invalid value 'panic': expected hold, go-on",
        "--peers (STROLL_PEERS) is required",
        "-x: no such setting",
        "STROLL_CONNECTIONS: invalid value 'many': invalid digit found in string",
        "STROLL_KIND: invalid value 'perhaps': expected true or false",
        "STROLL_LOG: invalid value 'stroll=[nonsense': expected a level (error, warn, info, debug, trace, off) or \
         directives such as `info,stroll_relay=debug`",
        "STROLL_NETWORKS: invalid value 'here': invalid IP address syntax",
        "STROLL_SECRET: a secret has at least 32 bytes before base64; make one with `head -c 32 /dev/urandom | \
         base64`",
        "stray: no such setting",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_single_mistake_is_told_as_what_it_is() {
    let good = |more: &[(&'static str, &'static str)]| [&GOOD, more].concat();
    type Case = (&'static [&'static str], Vec<(&'static str, &'static str)>, &'static str);
    let cases: [Case; 9] = [
        (&[], vec![GOOD[0]], "--secret (STROLL_SECRET, STROLL_SECRET_FILE) is required"),
        (&["--connections=0"], good(&[]), "--connections has to be above 0"),
        (&[], good(&[("STROLL_CONNECTIONS", "0")]), "--connections has to be above 0"),
        (&["--drain"], good(&[]), "--drain: a value is missing"),
        (&["--drain=1s", "--drain=2s"], good(&[]), "--drain: given more than once"),
        (&["--kind=true"], good(&[]), "--kind: invalid value 'true': takes no value"),
        (
            &[],
            good(&[("STROLL_ADMIN_LISTEN", "9080")]),
            "STROLL_ADMIN_LISTEN: invalid value '9080': invalid socket \
          address syntax",
        ),
        (
            &[],
            good(&[("STROLL_PEERS", "peer:1")]),
            "STROLL_PEERS: invalid value 'peer:1': expected \
          `http://name:port`, got `peer:1`",
        ),
        (
            &["--peers=http://peer:1", "--secret=c2hvcnQ="],
            vec![],
            "--secret: a secret has at least 32 bytes before \
          base64; make one with `head -c 32 /dev/urandom | base64`",
        ),
    ];
    for (arguments, environment, expected) in cases {
        assert_eq!(problems(arguments, &environment), [expected], "{arguments:?} {environment:?}");
    }
}

#[test]
fn a_secret_may_be_in_a_file_but_not_in_two_places() {
    let secret = file_with(&format!("{SECRET}\n"));
    let database = file_with("postgres://somebody:word@host/base\n");
    let secret_path = secret.path().to_str().expect("a path");
    let database_path = database.path().to_str().expect("a path");

    let environment =
        [GOOD[0], ("STROLL_SECRET_FILE", secret_path), ("STROLL_DATABASE_URL_FILE", database_path)];
    let parsed = parse_with(&[], &environment).expect("good settings");
    assert!(parsed.common.secret.is_some());
    assert_eq!(parsed.service.database_url.as_deref(), Some("postgres://somebody:word@host/base"));
    let parsed = parse_with(&["--database-url=sqlite:here"], &environment).expect("good settings");
    assert_eq!(parsed.service.database_url.as_deref(), Some("sqlite:here"), "a flag wins");

    let both = [GOOD[0], GOOD[1], ("STROLL_SECRET_FILE", secret_path)];
    let told = problems(&[], &both);
    assert!(told[0].starts_with("STROLL_SECRET and STROLL_SECRET_FILE are both set"), "{told:?}");

    let missing = [GOOD[0], ("STROLL_SECRET_FILE", "/nowhere/secret"), ("STROLL_DRAIN", "never")];
    let told = problems(&[], &missing);
    assert!(told[0].starts_with("STROLL_SECRET_FILE: cannot read /nowhere/secret:"), "{told:?}");
    assert!(told.iter().any(|problem| problem.starts_with("STROLL_DRAIN:")), "{told:?}");
    assert_eq!(told.len(), 2, "what can't be read is not told as missing too: {told:?}");

    // What is not secret has no file.
    let parsed =
        parse_with(&[], &[GOOD[0], GOOD[1], ("STROLL_DRAIN_FILE", "/nowhere")]).expect("good settings");
    assert_eq!(parsed.common.drain, Duration::from_secs(60));
}

#[test]
fn no_secret_is_ever_echoed() {
    let bad = "Zm9v-not-a-secret";
    let file = file_with(bad);
    let path = file.path().to_str().expect("a path");
    let argument = format!("--secret={bad}");
    let arguments: &[&str] = &[&argument];
    let cases = [
        problems(arguments, &[GOOD[0]]),
        problems(&[], &[GOOD[0], ("STROLL_SECRET", bad)]),
        problems(&[], &[GOOD[0], ("STROLL_SECRET_FILE", path)]),
    ];
    for told in cases {
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("a secret is base64 text") && !told[0].contains(bad), "{told:?}");
    }
}

#[test]
fn help_and_version_are_no_errors_and_tell_every_variable() {
    let Err(Refusal::Told(help)) = parse_with(&["--nonsense", "--help"], &[("STROLL_SECRET", "hush")]) else {
        panic!("help was asked for");
    };
    for part in ["STROLL_SECRET", "STROLL_ADMIN_LISTEN", "127.0.0.1:9099", "STROLL_PEERS", "_FILE", "60s"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    assert!(!help.contains("hush"));
    let version = Err(Refusal::Told(format!("stroll-test {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(parse_with(&["--version"], &[]).map(|_| ()), version);
}

#[test]
fn durations_have_a_unit_or_are_seconds() {
    let good =
        [("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("7", 7_000), (" 1 s", 1_000)];
    for (text, expected) in good {
        assert_eq!(duration(text).map(|found| found.as_millis()), Ok(expected), "{text}");
    }
    for bad in ["", "s", "1.5s", "-1s", "5 d", "18446744073709551615h", "99999999999999999999s"] {
        assert_eq!(duration(bad), Err(BadDuration), "{bad}");
    }
}
