use std::iter::empty;

use super::*;

fn read(text: &str) -> Result<Loaded, Problems> {
    Config::read(text, empty())
}

fn with(environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
    Config::read("", environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn problem(result: Result<Loaded, Problems>) -> String {
    result.map_or_else(|problems| problems.to_string(), |loaded| format!("accepted: {:?}", loaded.config))
}

#[test]
fn the_example_is_the_defaults() {
    assert_eq!(read(&example()).unwrap().config, Config::default());
}

#[test]
fn the_example_names_every_key() {
    let example = example();
    for key in Config::keys().iter().chain(&Listen::keys()) {
        assert!(example.contains(&format!("{} =", key.name)), "{} is missing", key.path());
        assert!(!key.doc.is_empty(), "{} is not explained", key.path());
    }
}

#[test]
fn every_key_of_the_contract_is_accepted() {
    let loaded = read(
        r#"
        server_name = "example.org"
        default_room_version = "12"
        data_dir = "/var/lib/roost"
        public_base_url = "https://matrix.example.org"
        [database]
        url = "sqlite:roost.db"
        durability = "full"
        [[listen]]
        address = "127.0.0.1:8008"
        serves = ["client", "federation", "admin", "metrics", "identity"]
        tls_certificate = "cert.pem"
        tls_private_key = "key.pem"
        [registration]
        mode = "token"
        shared_secret = ""
        [federation]
        enabled = true
        extra_ca_files = []
        trusted_key_servers = []
        [outbound]
        allow_ranges = []
        verify_certificates = true
        [rate_limits]
        enabled = true
        [appservices]
        files = []
        [directory]
        require_authentication = false
        over_federation = true
        [email]
        smtp_url = ""
        [presence]
        enabled = true
        [identity]
        enabled = false
        "#,
    )
    .unwrap();
    assert_eq!(loaded.config.top.server_name, "example.org");
    assert!(loaded.later.iter().any(|(key, _)| key == "federation.enabled"), "{:?}", loaded.later);
    assert!(!loaded.later.iter().any(|(key, _)| key == "database.url"), "{:?}", loaded.later);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_eq!(problem(read("server_nam = 1")), "server_nam: unknown key; did you mean server_name?");
    assert_eq!(problem(read("[database]\nurll = 1")), "database.urll: unknown key; did you mean database.url?");
    assert_eq!(problem(read("[datbase]\nurl = 1")), "datbase: unknown key; did you mean database?");
    assert_eq!(
        problem(read("[[listen]]\nadress = \"127.0.0.1:1\"")),
        "listen.adress: unknown key; did you mean listen.address?"
    );
    assert_eq!(
        problem(with(&[("ROOST_DATABASE__ULR", "x")])),
        "ROOST_DATABASE__ULR: unknown key; did you mean ROOST_DATABASE__URL?"
    );
}

#[test]
fn a_wrong_value_is_refused_by_its_key() {
    assert_eq!(problem(read("[presence]\nenabled = 1")), "presence.enabled: wants true or false");
    assert!(problem(read("default_room_version = \"13\"")).starts_with("default_room_version: "));
    assert!(problem(read("server_name = \"not a name\"")).starts_with("server_name: "));
    assert!(problem(read("[rate_limits]\nlogin_per_user = \"many\"")).starts_with("rate_limits.login_per_user: "));
    assert!(problem(read("[database]\nurl = \"mysql://x\"")).starts_with("database.url: "));
    assert!(problem(read("[[listen]]\naddress = \"nowhere\"")).starts_with("listen.address: "));
    assert!(problem(read("[log]\nlevel = \"a=b=c\"")).starts_with("log.level: "));
    assert!(problem(read("x = ")).starts_with("not TOML: "));
}

#[test]
fn the_environment_overrides_the_file_key_by_key() {
    let environment = [("ROOST_SERVER_NAME", "env.example"), ("ROOST_PRESENCE__ENABLED", "false")];
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let loaded = Config::read("server_name = \"file.example\"\n[presence]\nenabled = true", environment).unwrap();
    assert_eq!(loaded.config.top.server_name, "env.example");
    assert!(!loaded.config.presence.enabled);
}

#[test]
fn every_key_can_come_from_the_environment() {
    for key in Config::keys() {
        let name = format!("ROOST_{}", key.path().replace('.', "__").to_uppercase());
        let value = key.default.clone().or(key.example.clone()).unwrap();
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let result = with(&[(&name, &text)]);
        assert!(result.is_ok(), "{name}={text}: {}", problem(result));
    }
}

#[test]
fn lists_come_from_the_environment_in_either_notation() {
    for text in
        [r#"[{"address": "127.0.0.1:9", "serves": ["client"]}]"#, r#"[{address = "127.0.0.1:9", serves = ["client"]}]"#]
    {
        let loaded = with(&[("ROOST_LISTEN", text)]).unwrap();
        let listen =
            Listen { address: "127.0.0.1:9".to_owned(), serves: Families(vec![Serves::Client]), ..Listen::default() };
        assert_eq!(loaded.config.listen, [listen]);
    }
    let loaded = with(&[("ROOST_APPSERVICES__FILES", r#"["a.yaml"]"#)]).unwrap();
    assert_eq!(loaded.config.appservices.files, ["a.yaml"]);
}

#[test]
fn variables_of_others_are_left_alone() {
    let foreign = [("ROOST_PORT_8008_TCP", "tcp://10.0.0.1:8008"), ("ROOST_SERVICE_HOST", "x"), ("HOME", "/root")];
    assert_eq!(with(&foreign).unwrap().config, Config::default());
}

#[test]
fn a_rate_is_written_as_it_is_read() {
    for text in ["20/1m", "1/30s", "7/2h", "off"] {
        let rate = RateSetting::read(Value::String(text.to_owned())).unwrap();
        assert_eq!(rate.write(), Some(Value::String(text.to_owned())));
    }
}

#[test]
fn policies_and_gateways_are_read_and_written() {
    let text = r#"
        [identity]
        web_client = "https://app.example"
        [[identity.terms]]
        id = "privacy_policy"
        version = "1.2"
        languages.en = { name = "Privacy Policy", url = "https://example.org/privacy-1.2-en.html" }
        languages.fr = { name = "Politique", url = "https://example.org/privacy-1.2-fr.html" }
        [[identity.sms_gateways]]
        countries = ["DE", "AT"]
        url = "https://sms.example/send"
        headers.Authorization = "Bearer x"
        from = "Example"
        [[identity.sms_gateways]]
        url = "https://other.example/"
        content_type = "application/x-www-form-urlencoded"
        body = "to={{digits}}&text={{text}}"
    "#;
    let identity = read(text).unwrap().config.identity;
    assert_eq!(identity.terms.0[0].languages["fr"].name, "Politique");
    assert_eq!(identity.sms_gateways.0[0].headers, [("Authorization".to_owned(), "Bearer x".to_owned())]);
    assert_eq!(Terms::read(identity.terms.write().unwrap()).unwrap(), identity.terms);
    assert_eq!(SmsGateways::read(identity.sms_gateways.write().unwrap()).unwrap(), identity.sms_gateways);
    let environment = format!("{}", identity.terms.write().unwrap());
    assert_eq!(with(&[("ROOST_IDENTITY__TERMS", &environment)]).unwrap().config.identity.terms, identity.terms);
}

#[test]
fn faulty_policies_and_gateways_are_refused_by_their_key() {
    for (text, problem_is) in [
        ("terms = [{ id = \"x\" }]", "identity.terms: version is missing"),
        ("terms = [{ id = \"x\", version = \"1\" }]", "identity.terms: languages wants"),
        (
            "terms = [{ id = \"x\", version = \"1\", languages = { version = { name = \"\", url = \"\" } } }]",
            "identity.terms: no language is called version",
        ),
        ("terms = 7", "identity.terms: wants a list of policies"),
        ("sms_gateways = [{}]", "identity.sms_gateways: url is missing"),
        ("sms_gateways = [{ url = \"x\" }]", "identity.sms_gateways: \"x\" is no http or https URL"),
        ("sms_gateways = [{ url = \"https://x\", contries = [] }]", "identity.sms_gateways: unknown key contries"),
        ("sms_gateways = [{ url = \"https://x\", body = \"{{text\" }]", "identity.sms_gateways: the body: "),
        ("server_name = \"not a name\"", "identity.server_name: "),
        ("public_base_url = \"example.org\"", "identity.public_base_url: wants a URL"),
        ("database_url = \"mysql://x\"", "identity.database_url: wants sqlite:FILE"),
        ("max_lookup = 0", "identity.max_lookup: wants a number above 0"),
    ] {
        let found = problem(read(&format!("[identity]\n{text}")));
        assert!(found.starts_with(problem_is), "{text}: {found}");
    }
    assert!(problem(read("[outbound]\nallow_ranges = [\"x\"]")).starts_with("outbound.allow_ranges: "));
}
