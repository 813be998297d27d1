//! routed and BIRD tell each other their prefixes, IPv4 and IPv6.

use lab::{
    Error, Result,
    pair::{ASN, Pair, THEIR_4, THEIR_6},
    peer::Bird,
};

/// BIRD's side: a session for each family, `more` in each. The direct routes let
/// it resolve next hops inside an AS.
fn bird(pair: &Pair, asn: u32, more: &str) -> Result<Bird> {
    let session = |name: &str, family: &str, here: String, there: String| {
        format!(
            "protocol bgp {name} {{ local {here} as {asn}; neighbor {there} as {ASN}; {more} connect retry time 1;\n \
             {family} {{ import all; export where source = RTS_STATIC; next hop self; }}; }}\n"
        )
    };
    let (ours, theirs) = (&pair.ours, &pair.theirs);
    let config = format!(
        "protocol device {{}}\nprotocol direct {{ ipv4; ipv6; }}\n\
         protocol static s4 {{ ipv4; route {THEIR_4} blackhole; }}\n\
         protocol static s6 {{ ipv6; route {THEIR_6} blackhole; }}\n{}{}",
        session("r4", "ipv4", theirs.ipv4().to_string(), ours.ipv4().to_string()),
        session("r6", "ipv6", theirs.ipv6().to_string(), ours.ipv6().to_string()),
    );
    Bird::start(theirs, &config)
}

fn exchange(name: &str, asn: u32, ours: &str, theirs: &str) -> Result<()> {
    let pair = Pair::start(name, asn, ours)?;
    let bird = bird(&pair, asn, theirs)?;
    pair.sessions_are_up()?;
    pair.they_have_ours(asn, || bird.routes())?;
    pair.we_have_theirs()?;
    for session in ["r4", "r6"] {
        assert_eq!(bird.protocol_state(session)?, "Established");
    }
    Ok(())
}

#[test]
fn bird_and_routed_exchange_routes_inside_one_as() -> Result<()> {
    exchange("bird-i", ASN, "", "")
}

#[test]
fn bird_and_routed_exchange_routes_between_two_as() -> Result<()> {
    exchange("bird-e", 65001, "", "")
}

#[test]
fn bird_and_routed_exchange_routes_under_tcp_md5() -> Result<()> {
    let dir = tempfile::tempdir().map_err(Error::io("make a directory"))?;
    let key = dir.path().join("peer.key");
    std::fs::write(&key, "s3cret\n").map_err(Error::file(&key))?;
    exchange("bird-md5", 65001, &format!("password_file = \"{}\"", key.display()), "password \"s3cret\";")
}

#[test]
fn withdrawn_prefix_leaves_table_and_kernel() -> Result<()> {
    let pair = Pair::start("bird-w", 65001, "")?;
    let bird = bird(&pair, 65001, "")?;
    pair.we_have_theirs()?;
    bird.birdc_write("disable s4")?;
    pair.lab.wait_until("the withdrawn prefix is gone, the other stays", lab::pair::LIMIT, || {
        let kernel = lab::cluster::bgp_routes(&pair.ours).map_err(|e| e.to_string())?;
        let table = pair.routed.prefixes("bgp").map_err(|e| e.to_string())?;
        let gone = |list: &[String]| !list.iter().any(|p| p == THEIR_4) && list.iter().any(|p| p == THEIR_6);
        if gone(&kernel) && gone(&table) {
            Ok(())
        } else {
            Err(format!("kernel {kernel:?}, table {table:?}"))
        }
    })
}
