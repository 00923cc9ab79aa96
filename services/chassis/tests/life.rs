//! The life of a real process, from its settings to its exit code.
//!
//! This program is both sides: started by a case with the variable below set, it is a service; otherwise it runs the
//! cases. That is why it has no test harness.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test, though none that clippy can know for one"
)]

use std::{
    future::pending,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use chassis::{Context, Settings};
use parking_lot::Mutex;
use stroll_chassis as chassis;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::{Instant, timeout},
};

const IS_SERVICE: &str = "STROLL_TEST_IS_SERVICE";
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
struct Config {
    /// How the service behaves.
    #[arg(long, env = "STROLL_BEHAVIOUR", value_parser = ["idle", "fail", "panic", "stuck", "finish"])]
    behaviour: String,
}

impl Settings for Config {
    const ADMIN_LISTEN: &'static str = "127.0.0.1:0";
    const SECRET_IS_OPTIONAL: bool = true;
}

async fn service(config: Config, context: Context) -> anyhow::Result<()> {
    match config.behaviour.as_str() {
        "fail" => Err(anyhow::anyhow!("the pool is dry").context("reading the pool")),
        "panic" => panic!("a panic on purpose"),
        "stuck" => {
            context.tasks.spawn("stuck", pending::<()>());
            pending().await
        }
        "finish" => Ok(()),
        _ => {
            context.drain.soft().await;
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    if std::env::var_os(IS_SERVICE).is_some() {
        return chassis::run("life", service);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        a_signal_drains_and_exits_with_0().await;
        a_service_that_ends_or_fails_ends_the_process().await;
        what_does_not_stop_is_left_behind_when_the_window_is_over().await;
        a_second_signal_ends_the_drain().await;
        what_a_failing_process_logs_last_is_still_pushed().await;
        bad_settings_are_all_told_and_exit_with_64().await;
        an_operators_port_that_is_taken_exits_with_1().await;
    });
    println!("test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::SUCCESS
}

/// A service's process.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    seen: Vec<serde_json::Value>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, &[])
    }

    fn start_in(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(arguments)
            .env_clear()
            .env(IS_SERVICE, "1")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("to start");
        let lines = BufReader::new(child.stderr.take().expect("its errors")).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// Reads on until there is a line with this message, or the process closes its output.
    async fn line(&mut self, message: &str) -> Option<serde_json::Value> {
        while let Some(line) = timeout(PATIENCE, self.lines.next_line()).await.expect("a line").expect("text")
        {
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            self.seen.push(line.clone());
            if line["message"] == message {
                return Some(line);
            }
        }
        None
    }

    async fn ready(&mut self) -> serde_json::Value {
        self.line("listening").await.expect("it listens")
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await.expect("kill");
        assert!(status.success());
    }

    /// Its exit code and all its lines.
    async fn end(mut self) -> (i32, Vec<serde_json::Value>) {
        while self.line("").await.is_some() {}
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("a status");
        (status.code().expect("no signal"), self.seen)
    }
}

fn messages(lines: &[serde_json::Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["message"].as_str()).collect()
}

async fn a_signal_drains_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start(&["--behaviour=idle"]);
        let listening = process.ready().await;
        assert_eq!(listening["what"], "admin");
        assert!(listening["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")));
        process.signal(signal).await;
        let (code, lines) = process.end().await;
        assert_eq!(code, 0);
        let made_up =
            "no secret is set, made one up: tokens end with this process, and no other can check them";
        assert_eq!(messages(&lines), ["starting", made_up, "listening", "draining", "drained"]);
        assert_eq!(lines[0]["program"], "stroll-life");
    }
}

async fn a_service_that_ends_or_fails_ends_the_process() {
    for (behaviour, expected, error) in [
        ("finish", 0, None),
        ("fail", 1, Some("reading the pool: the pool is dry")),
        ("panic", 1, Some("the service panicked")),
    ] {
        let (code, lines) = Process::start(&["--behaviour", behaviour]).end().await;
        assert_eq!(code, expected, "{behaviour}: {lines:?}");
        let errors = lines.iter().filter(|line| line["message"] == "failed");
        let errors: Vec<_> = errors.filter_map(|line| line["error"].as_str()).collect();
        assert_eq!(errors, error.into_iter().collect::<Vec<_>>(), "{behaviour}");
        assert_eq!(messages(&lines).last(), Some(&"drained"), "{behaviour}");
        if behaviour == "panic" {
            let panicked = lines.iter().find(|line| line["message"] == "panicked: a panic on purpose");
            let place = panicked.and_then(|line| line["place"].as_str());
            assert!(place.is_some_and(|place| place.contains("life.rs")), "{lines:?}");
        }
    }
}

async fn what_does_not_stop_is_left_behind_when_the_window_is_over() {
    let mut process = Process::start(&["--behaviour=stuck", "--drain=300ms"]);
    process.ready().await;
    process.signal("TERM").await;
    let (code, lines) = process.end().await;
    assert_eq!(code, 0, "{lines:?}");
    let over = lines.iter().find(|line| line["message"] == "the drain's time is over, stopping what is left");
    assert_eq!(
        over.map(|line| (&line["tasks"], &line["level"])),
        Some((&1.into(), &"WARN".into())),
        "{lines:?}"
    );
    assert_eq!(messages(&lines).last(), Some(&"tasks did not stop, leaving them behind"));
}

async fn a_second_signal_ends_the_drain() {
    let mut process = Process::start(&["--behaviour=stuck", "--drain=1h"]);
    process.ready().await;
    let began = Instant::now();
    process.signal("TERM").await;
    process.line("draining").await.expect("it drains");
    process.signal("TERM").await;
    let (code, lines) = process.end().await;
    assert_eq!(code, 0, "{lines:?}");
    assert!(messages(&lines).contains(&"stopping at once"), "{lines:?}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

async fn what_a_failing_process_logs_last_is_still_pushed() {
    let secret = chassis::Secret::ephemeral(&chassis::Random::seeded(1));
    let context = Context::new(secret, Duration::ZERO);
    let listener = context.net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("to listen");
    let endpoint = format!("http://{}", listener.address().expect("an address"));
    let pushed = Arc::<Mutex<Vec<u8>>>::default();
    let kept = Arc::clone(&pushed);
    let keep = async move |body: axum::body::Bytes| kept.lock().extend_from_slice(&body);
    let collector = axum::Router::new().route("/v1/logs", axum::routing::post(keep));
    let serving = context.clone();
    context
        .tasks
        .spawn("collector", async move { chassis::http::serve(&serving, listener, collector).await });

    let environment = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{endpoint}/v1/logs"))];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (code, lines) = Process::start_in(&["--behaviour=fail"], &environment).end().await;
    assert_eq!(code, 1);
    assert!(messages(&lines).contains(&"pushing telemetry"), "{lines:?}");
    let pushed = pushed.lock();
    for text in ["the pool is dry", "drained", "stroll-life"] {
        assert!(pushed.windows(text.len()).any(|window| window == text.as_bytes()), "{text} was not pushed");
    }
}

async fn bad_settings_are_all_told_and_exit_with_64() {
    let mut process = Process::start(&["--drain=soon", "--admin-listen=here"]);
    let mut text = String::new();
    process.lines.get_mut().read_to_string(&mut text).await.expect("text");
    let status = process.child.wait().await.expect("a status");
    assert_eq!(status.code(), Some(64));
    let problems: Vec<_> = text.lines().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(text.lines().count(), 3, "{text}");
    for expected in [" --drain", " --admin-listen", " --behaviour (STROLL_BEHAVIOUR) is required"] {
        assert!(problems.contains(&expected), "{text}");
    }
}

async fn an_operators_port_that_is_taken_exits_with_1() {
    let mut first = Process::start(&["--behaviour=idle"]);
    let address = first.ready().await["address"].as_str().expect("an address").to_owned();
    let (code, lines) = Process::start(&["--behaviour=idle", "--admin-listen", &address]).end().await;
    assert_eq!(code, 1, "{lines:?}");
    let error = lines.last().and_then(|line| line["error"].as_str()).expect("an error");
    assert!(
        error.starts_with(&format!("opening the operators' port: cannot listen on {address}:")),
        "{error}"
    );
}
