//! Replicas over real sockets, with real databases.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use chassis::{
    Context, Random, Secret,
    bans::Bans,
    grpc::Channel,
    id::{AddressHash, SessionId},
};
use stroll_proto::v1::{
    Action, CheckAccessRequest, CreateBanRequest, InspectRequest, InspectResponse, LiftBanRequest,
    Participant, ReportRequest, Said, Subject, TranscriptLine, Verdict, WatchBansRequest,
    create_ban_request::Target, moderation_service_client::ModerationServiceClient,
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{Duration, WITHIN, postgres::Postgres, wait_for};
use crate::{Config, DatabaseUrl, Moderation, Policy, metrics::Metrics, store::Store};

const ANN: u8 = 1;
const BOB: u8 = 2;
const HOME: AddressHash = AddressHash([9; 16]);

type Client = ModerationServiceClient<Channel>;

/// A replica, and a client of its own.
struct Replica {
    context: Context,
    serving: JoinHandle<anyhow::Result<()>>,
    channel: Channel,
    client: Client,
}

impl Replica {
    async fn start(database_url: &DatabaseUrl) -> Self {
        let context = Context::new(Secret::ephemeral(&Random::from_os()), Duration::from_secs(10));
        let policy = Policy { database_url: database_url.clone(), ban_duration: Duration::from_secs(3_600) };
        let config = Config { listen: "127.0.0.1:0".parse().expect("an address"), policy };
        let moderation = Moderation::bind(config, &context).await.expect("a port");
        let channel = Channel::new(&context, moderation.address().into());
        let serving = context.tasks.spawn("moderation", moderation.serve());
        let client = Client::new(channel.clone());
        Self { context, serving, channel, client }
    }

    async fn ready(database_url: &DatabaseUrl) -> Self {
        let replica = Self::start(database_url).await;
        wait_for("readiness", async || replica.is_ready()).await;
        replica
    }

    fn is_ready(&self) -> bool {
        self.context.readiness.missing().is_empty()
    }

    async fn inspect(&self) -> (mpsc::Sender<InspectRequest>, Streaming<InspectResponse>) {
        let (texts, requests) = mpsc::channel(8);
        let mut client = self.client.clone();
        let verdicts = client.inspect(ReceiverStream::new(requests)).await.expect("a stream").into_inner();
        (texts, verdicts)
    }

    async fn drain(self) {
        self.context.drain.begin();
        let ended = tokio::time::timeout(WITHIN, self.serving).await.expect("in time").expect("no panic");
        ended.expect("served to the end");
        drop((self.channel, self.client));
        tokio::time::timeout(WITHIN, self.context.tasks.finished()).await.expect("no task is left");
    }
}

fn sqlite(folder: &Path) -> DatabaseUrl {
    DatabaseUrl::Sqlite(folder.join("stroll.db"))
}

fn subject(session: u8, address: Option<AddressHash>) -> Subject {
    let address = address.map(AddressHash::to_bytes).unwrap_or_default();
    Subject { session: SessionId([session; 16]).to_bytes(), address }
}

fn access(session: u8) -> CheckAccessRequest {
    CheckAccessRequest { subject: Some(subject(session, None)) }
}

fn said(chat: u8, seq: u64, text: &str) -> Said {
    let sender = Some(subject(ANN, Some(HOME)));
    Said { chat: vec![chat; 16].into(), seat: 1, seq, text: text.into(), subject: sender }
}

fn report(id: u8) -> ReportRequest {
    let participant =
        |seat, session| Participant { seat, subject: Some(subject(session, Some(HOME))), role: 1 };
    ReportRequest {
        id: vec![id; 16].into(),
        chat: vec![7; 16].into(),
        reporter_seat: 1,
        reason: "harassment".into(),
        comment: "rude".into(),
        participants: vec![participant(1, ANN), participant(2, BOB)],
        transcript: vec![TranscriptLine { seat: 2, seq: 1, at_unix_ms: 5, text: "something rude".into() }],
        began_unix_ms: 4,
        mode: 1,
    }
}

async fn next<T>(stream: &mut Streaming<T>) -> Result<Option<T>, Status> {
    tokio::time::timeout(WITHIN, stream.message()).await.expect("in time")
}

async fn next_verdict(verdicts: &mut Streaming<InspectResponse>) -> Verdict {
    let response = next(verdicts).await.expect("a response").expect("not the end");
    assert_eq!(response.verdicts.len(), 1);
    response.verdicts.into_iter().next().expect("a verdict")
}

#[tokio::test]
async fn verdicts_lead_to_a_ban_that_reaches_those_who_watch_another_replica_within_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) =
        (Replica::ready(&sqlite(folder.path())).await, Replica::ready(&sqlite(folder.path())).await);
    let bans = Bans::follow(&two.context, two.channel.clone());
    tokio::time::timeout(WITHIN, bans.until_synced()).await.expect("synced");
    let mut news = bans.subscribe();
    let (texts, mut verdicts) = one.inspect().await;
    let steps = [
        (1, 1, Action::Warn),
        (1, 2, Action::Warn),
        (1, 3, Action::End),
        (2, 1, Action::End),
        (3, 1, Action::Ban),
    ];
    for (chat, seq, action) in steps {
        // What is fine gets no answer.
        let batch = [said(chat, 0, "hello, how are you?"), said(chat, seq, "look at xyzzy-spam.example.com")];
        texts.send(InspectRequest { said: batch.to_vec() }).await.expect("sent");
        let verdict = next_verdict(&mut verdicts).await;
        assert_eq!((verdict.chat.as_ref(), verdict.seat, verdict.seq), ([chat; 16].as_slice(), 1, seq));
        assert_eq!((verdict.action(), verdict.rule.as_str()), (action, "spam_link"));
        assert!(!verdict.text.is_empty());
    }
    let decided = Instant::now();
    let ban = tokio::time::timeout(WITHIN, news.recv()).await.expect("in time").expect("news");
    assert!(decided.elapsed() < Duration::from_secs(1), "{:?}", decided.elapsed());
    assert_eq!((ban.session, ban.address), (Some(SessionId([ANN; 16])), Some(HOME)));
    assert_eq!(ban.reason, "spam");
    assert_eq!(bans.check(SessionId([BOB; 16]), &[HOME]), Some(ban), "the same address");
    drop(texts);
    assert_eq!(next(&mut verdicts).await.expect("no error"), None, "ends with the texts");
    // While connections are open, SQLite's files stay where they are.
    assert!(is_stored(folder.path(), "spam_link"), "decisions are");
    assert!(!is_stored(folder.path(), "xyzzy-spam"), "what was said is not");
    drop((verdicts, bans));
    one.drain().await;
    two.drain().await;
}

/// Whether a word is in any file of a database.
fn is_stored(folder: &Path, word: &str) -> bool {
    let files = folder.read_dir().expect("a folder").map(|file| file.expect("a file").path());
    let has_word = |content: Vec<u8>| content.windows(word.len()).any(|part| part == word.as_bytes());
    files.map(|file| std::fs::read(file).expect("its content")).any(has_word)
}

#[tokio::test]
async fn a_report_is_stored_once_and_outlives_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Replica::ready(&sqlite(folder.path())).await;
    let case = first.client.report(report(1)).await.expect("stored").into_inner().case;
    assert_eq!(first.client.report(report(1)).await.expect("stored").into_inner().case, case);
    assert_ne!(first.client.report(report(2)).await.expect("stored").into_inner().case, case);
    // As a crash would: nothing is finished.
    first.serving.abort();
    first.context.drain.force();
    let mut second = Replica::ready(&sqlite(folder.path())).await;
    assert_eq!(second.client.report(report(1)).await.expect("stored").into_inner().case, case);
    let ban =
        CreateBanRequest { target: Some(Target::Case(case)), duration_s: 60, reason: "harassment".into() };
    let bans = second.client.create_ban(ban).await.expect("stored").into_inner().bans;
    assert_eq!(
        bans.iter().map(|ban| ban.subject.clone()).collect::<Vec<_>>(),
        [Some(subject(BOB, Some(HOME)))]
    );
}

#[tokio::test]
async fn a_ban_holds_everywhere_until_it_is_lifted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut one, mut two) =
        (Replica::ready(&sqlite(folder.path())).await, Replica::ready(&sqlite(folder.path())).await);
    let ban = |session, duration_s| CreateBanRequest {
        target: Some(Target::Subject(subject(session, None))),
        duration_s,
        reason: "spam".into(),
    };
    one.client.create_ban(ban(BOB, 1)).await.expect("stored");
    let bans = one.client.create_ban(ban(ANN, 60)).await.expect("stored").into_inner().bans;
    let id = bans[0].id.clone();
    let told = one.client.check_access(access(ANN)).await.expect("an answer").into_inner();
    assert_eq!(told.ban.as_ref(), bans.first(), "known at once where it was made");
    let mut watch = two.client.watch_bans(WatchBansRequest {}).await.expect("a watch").into_inner();
    let snapshot = next(&mut watch).await.expect("no error").expect("a snapshot");
    assert!(snapshot.synced && snapshot.bans.contains(&bans[0]), "known to who begins to watch");
    let is_banned = async |client: &mut Client, session| {
        client.check_access(access(session)).await.expect("an answer").into_inner().ban.is_some()
    };
    assert!(is_banned(&mut two.client, ANN).await);
    wait_for("the short ban's end", async || !is_banned(&mut two.client, BOB).await).await;
    one.client.lift_ban(LiftBanRequest { id: id.clone() }).await.expect("lifted");
    let news = next(&mut watch).await.expect("no error").expect("news");
    assert_eq!(news.lifted, [id]);
    assert!(!is_banned(&mut one.client, ANN).await && !is_banned(&mut two.client, ANN).await);
}

#[tokio::test]
async fn a_draining_replica_ends_its_streams_and_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut replica = Replica::ready(&sqlite(folder.path())).await;
    let (_texts, mut verdicts) = replica.inspect().await;
    let mut watch = replica.client.watch_bans(WatchBansRequest {}).await.expect("a watch").into_inner();
    assert!(next(&mut watch).await.expect("no error").expect("a snapshot").synced);
    replica.context.drain.begin();
    assert_eq!(next(&mut verdicts).await.expect("no error"), None);
    assert_eq!(next(&mut watch).await.expect("no error"), None);
    replica.drain().await;
}

/// Changes a good report.
type Spoil = fn(&mut ReportRequest);

#[tokio::test]
async fn what_breaks_the_interfaces_rules_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut replica = Replica::ready(&sqlite(folder.path())).await;
    let spoils: [(&str, Spoil); 14] = [
        ("no id", |report| report.id.clear()),
        ("a short chat", |report| report.chat.truncate(15)),
        ("an unknown reason", |report| report.reason = "boredom".into()),
        ("a long comment", |report| report.comment = "é".repeat(1_001)),
        ("seat 0", |report| report.reporter_seat = 0),
        ("no such seat", |report| report.reporter_seat = 3),
        ("seat 256", |report| report.participants[1].seat = 256),
        ("a seat taken twice", |report| report.participants[1].seat = 1),
        ("nobody in a seat", |report| report.participants[1].subject = None),
        ("no session", |report| report.participants[1].subject = Some(Subject::default())),
        ("too many seats", |report| report.participants = vec![report.participants[0].clone(); 9]),
        ("a line of nobody", |report| report.transcript[0].seat = 0),
        ("too many lines", |report| report.transcript = vec![report.transcript[0].clone(); 501]),
        ("too much text", |report| report.transcript[0].text = "x".repeat(256 * 1024 + 1)),
    ];
    for (what, spoil) in spoils {
        let mut spoiled = report(1);
        spoil(&mut spoiled);
        let refused = replica.client.report(spoiled).await.expect_err(what);
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}");
    }
    let ann = Some(Target::Subject(subject(ANN, None)));
    let unknown = Some(Target::Case("S-0000-0000".into()));
    for (target, duration_s, reason, code) in [
        (None, 60, "spam", Code::InvalidArgument),
        (Some(Target::Subject(Subject::default())), 60, "spam", Code::InvalidArgument),
        (Some(Target::Case("7".into())), 60, "spam", Code::InvalidArgument),
        (ann.clone(), 0, "spam", Code::InvalidArgument),
        (ann.clone(), u64::MAX, "spam", Code::InvalidArgument),
        (ann.clone(), 60, "", Code::InvalidArgument),
        (ann, 60, "Rude words!", Code::InvalidArgument),
        (unknown, 60, "spam", Code::NotFound),
    ] {
        let ban = CreateBanRequest { target, duration_s, reason: reason.into() };
        assert_eq!(
            replica.client.create_ban(ban.clone()).await.expect_err("refused").code(),
            code,
            "{ban:?}"
        );
    }
    for subject in
        [None, Some(Subject::default()), Some(Subject { session: vec![1; 3].into(), ..Default::default() })]
    {
        let refused = replica.client.check_access(CheckAccessRequest { subject }).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let unknown = LiftBanRequest { id: "unknown".into() };
    assert_eq!(replica.client.lift_ban(unknown).await.expect_err("refused").code(), Code::NotFound);
}

#[tokio::test]
async fn a_malformed_text_ends_the_stream_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let replica = Replica::ready(&sqlite(folder.path())).await;
    let (good_texts, mut good_verdicts) = replica.inspect().await;
    let bad = [
        Said { chat: vec![1; 17].into(), ..said(1, 1, "hello") },
        Said { seat: 0, ..said(1, 1, "hello") },
        Said { subject: None, ..said(1, 1, "hello") },
        Said { subject: Some(Subject::default()), ..said(1, 1, "hello") },
    ];
    for bad in bad {
        let (texts, mut verdicts) = replica.inspect().await;
        texts.send(InspectRequest { said: vec![said(1, 1, "see example.com"), bad] }).await.expect("sent");
        let refused = next(&mut verdicts).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    good_texts.send(InspectRequest { said: vec![said(1, 1, "see example.com")] }).await.expect("sent");
    assert_eq!(next_verdict(&mut good_verdicts).await.action(), Action::Warn, "the first that counts");
}

/// Has Ann break a rule that ends a chat at once; each call in a chat of its own.
async fn child(texts: &mpsc::Sender<InspectRequest>, verdicts: &mut Streaming<InspectResponse>) -> Action {
    static CHAT: AtomicU32 = AtomicU32::new(100);
    let chat = u8::try_from(CHAT.fetch_add(1, Ordering::Relaxed)).expect("few chats");
    texts.send(InspectRequest { said: vec![said(chat, 1, "I'm 13")] }).await.expect("sent");
    next_verdict(verdicts).await.action()
}

#[tokio::test]
async fn a_database_may_come_later_and_go_and_come_back() {
    let mut postgres = Postgres::prepare();
    let mut replica = Replica::start(&postgres.url()).await;
    let (texts, mut verdicts) = replica.inspect().await;
    assert_eq!(child(&texts, &mut verdicts).await, Action::End, "texts are looked at without it");
    assert!(!replica.is_ready());
    let refused = replica.client.report(report(1)).await.expect_err("nowhere to store it");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        replica.client.check_access(access(ANN)).await.expect_err("not known").code(),
        Code::Unavailable
    );

    postgres.start();
    wait_for("readiness", async || replica.is_ready()).await;
    let case = replica.client.report(report(1)).await.expect("stored").into_inner().case;
    let mut watch = replica.client.watch_bans(WatchBansRequest {}).await.expect("a watch").into_inner();
    assert!(next(&mut watch).await.expect("no error").expect("a snapshot").synced);

    postgres.stop();
    assert_eq!(child(&texts, &mut verdicts).await, Action::End);
    assert_eq!(child(&texts, &mut verdicts).await, Action::End, "a ban that can't be stored is none");
    let refused = replica.client.report(report(2)).await.expect_err("nowhere to store it");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(next(&mut watch).await.expect_err("stale").code(), Code::Unavailable);
    assert!(replica.client.check_access(access(ANN)).await.is_ok(), "what is known still holds");
    assert!(replica.is_ready(), "texts are still looked at");

    postgres.start();
    let mut client = replica.client.clone();
    wait_for("the database", async || client.report(report(2)).await.is_ok()).await;
    assert_eq!(client.report(report(1)).await.expect("stored").into_inner().case, case);
    assert_eq!(child(&texts, &mut verdicts).await, Action::Ban, "the next one is");
    assert!(client.check_access(access(ANN)).await.expect("an answer").into_inner().ban.is_some());
    drop((texts, verdicts, watch, client));
    replica.drain().await;
    all_decisions_are_stored(&postgres).await;
}

/// Also those that were made while the database was away.
async fn all_decisions_are_stored(postgres: &Postgres) {
    assert_eq!(decisions(&store(&postgres.url())).await, 4);
}

fn store(url: &DatabaseUrl) -> Store {
    Store::new(url, Random::from_os(), Metrics::new()).expect("a store")
}

async fn decisions(store: &Store) -> usize {
    sqlx::query("SELECT 1 FROM decisions").fetch_all(store.pool()).await.expect("rows").len()
}

#[tokio::test]
async fn a_decision_that_waits_for_the_database_is_stored_before_the_drain_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let replica = Replica::ready(&sqlite(folder.path())).await;
    let (texts, mut verdicts) = replica.inspect().await;
    let store = store(&sqlite(folder.path()));
    let mut other = store.pool().acquire().await.expect("a connection");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *other).await.expect("the writer's turn");
    assert_eq!(child(&texts, &mut verdicts).await, Action::End);
    drop((texts, verdicts));
    replica.context.drain.begin();
    let letting_go = replica.context.tasks.spawn("other writer", async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sqlx::query("COMMIT").execute(&mut *other).await.expect("the end of the turn");
    });
    let ended = tokio::time::timeout(WITHIN, replica.serving).await.expect("in time").expect("no panic");
    ended.expect("served to the end");
    // As the process would.
    replica.context.drain.force();
    letting_go.await.expect("no panic");
    assert_eq!(decisions(&store).await, 1);
}
