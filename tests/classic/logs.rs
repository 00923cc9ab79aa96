//! Saving a log.

use stroll_tests::classic::{HTML, ask, encode, post, roomy};

const LOG: &str = r#"[["You're now chatting with a random stranger. Say hi!"],["You:","<script>alert(1)</script> & \"x\""],["Stranger:","hey é 🚶"],["Question to discuss:","Is <b>tea</b> a soup?"],["Stranger 1:","no"],["Stranger 2:","yes"],["Stranger has disconnected."]]"#;

fn form(log: &str, site: &str) -> String {
    let topics = encode(r#"["<i>tea</i>"]"#);
    format!("log={}&randid=ABCD2345&topics={topics}&identdigests=aa,bb&{site}", encode(log))
}

#[tokio::test]
async fn a_log_becomes_a_page_of_its_lines_escaped_and_without_scripts() {
    let stroll = roomy(&[]).await;
    let mut pages = Vec::new();
    for site in ["host=1", "facebook=1", "tumblr=1", "reddit=1", "tweet=1"] {
        let answer = ask(stroll.gateway, post("/generate", &form(LOG, site))).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(HTML)), "{site}");
        let policy = answer.header("content-security-policy").expect("a policy").to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        assert!(!policy.contains("unsafe-eval"), "{policy}");
        pages.push(answer.body);
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "the same for all five");
    let page = &pages[0];
    for shown in [
        "You:",
        "Stranger:",
        "hey é 🚶",
        "Stranger 1:",
        "Stranger 2:",
        "Question to discuss:",
        "Stranger has disconnected.",
    ] {
        assert!(page.contains(shown), "{shown} is not in:\n{page}");
    }
    for escaped in [
        "&lt;script&gt;alert(1)&lt;/script&gt; &amp; ",
        "Is &lt;b&gt;tea&lt;/b&gt; a soup?",
        "&lt;i&gt;tea&lt;/i&gt;",
    ] {
        assert!(page.contains(escaped), "{escaped} is not in:\n{page}");
    }
    for raw in ["<script", "<b>tea", "<i>tea"] {
        assert!(!page.contains(raw), "{raw} is in:\n{page}");
    }
    let order =
        ["You:", "Stranger:", "Question to discuss:", "Stranger 1:", "Stranger 2:", "has disconnected"];
    let places: Vec<_> = order.into_iter().map(|line| page.find(line).expect("a line")).collect();
    assert!(places.is_sorted(), "the lines keep their order: {places:?}");
    assert!(!stroll.process.log().join("\n").contains("hey é"), "a log's words are nowhere kept");
}

#[tokio::test]
async fn what_is_no_log_is_answered_all_the_same() {
    let stroll = roomy(&[]).await;
    for log in ["", "[]", "nonsense", "{}", r#"["a line"]"#, r#"[[1,2],null,["x"],["a","b","c"]]"#, "[[[[["] {
        let answer = ask(stroll.gateway, post("/generate", &form(log, "host=1"))).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(HTML)), "{log}");
    }
}
