use super::*;

fn labels() -> Labels {
    [("app", "web"), ("tier", "front-end"), ("example.com/zone", "a"), ("empty", "")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn a_selector_means_what_calico_says() {
    for (text, expected) in [
        ("all()", true),
        ("", true),
        ("  ", true),
        ("global()", false),
        ("has(app)", true),
        ("has(none)", false),
        ("!has(none)", true),
        ("! has( app )", false),
        ("app == 'web'", true),
        ("app=='db'", false),
        ("app == \"web\"", true),
        ("none == 'web'", false),
        ("app != 'db'", true),
        ("app != 'web'", false),
        ("none != 'web'", true),
        ("empty == ''", true),
        ("app in {'db', 'web'}", true),
        ("app in {}", false),
        ("none in {'web'}", false),
        ("app not in {'db'}", true),
        ("none not in {'db'}", true),
        ("app not in { 'web' }", false),
        ("tier contains 'nt-e'", true),
        ("tier starts with 'front'", true),
        ("tier ends with 'front'", false),
        ("none contains ''", false),
        ("example.com/zone == 'a'", true),
        ("has(app) && app == 'db' || has(tier)", true),
        ("has(app) && (app == 'db' || has(none))", false),
        ("!(app == 'db') && !!has(app)", true),
        ("! app == 'db' && all()", true),
        ("all == 'x' || in == 'x' || not not in {'x'}", true),
        ("app == 'web' && !global()", true),
    ] {
        let selector: Selector = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(selector.matches(&labels(), Some("prod")), expected, "{text}");
    }
}

#[test]
fn global_means_what_has_no_namespace() {
    let selector: Selector = "global()".parse().unwrap();
    assert!(selector.matches(&labels(), None));
    assert!(!selector.matches(&labels(), Some("prod")));
}

#[test]
fn a_text_that_is_no_selector_is_refused_with_the_place() {
    for (text, position) in [
        ("app", 4),
        ("app =", 5),
        ("app == web", 8),
        ("app == 'web", 8),
        ("app == 'a' and b == 'b'", 12),
        ("(has(app)", 10),
        ("has(app))", 9),
        ("has()", 5),
        ("some()", 1),
        ("app in 'web'", 8),
        ("app in {'a' 'b'}", 13),
        ("&& has(a)", 1),
        ("has(a) &&", 10),
        ("é == 'a'", 1),
        ("app inner {'a'}", 5),
    ] {
        let error = text.parse::<Selector>().expect_err(text);
        assert_eq!(error.position, position, "{error}");
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |n: usize| format!("{}has(a){}", "(".repeat(n), ")".repeat(n));
    assert!(deep(50).parse::<Selector>().is_ok());
    assert!(deep(100_000).parse::<Selector>().is_err());
    assert!("!".repeat(100_000).parse::<Selector>().is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in r#"[a-c!&|(){}'", =é]{0,30}"#) {
        let _ = text.parse::<Selector>();
    }

    #[test]
    fn what_prints_is_what_was_read(text in r"(!?has\([ab]\)|a (!=|==) 'x'|b (not )?in \{'x','y'\})( (&&|\|\|) (has\(c\)|all\(\))){0,3}") {
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
    }
}
