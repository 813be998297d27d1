//! A path that is cut in the middle: traffic goes another way as soon as BFD
//! has noticed, long before the hold timer would. How soon is printed
//! (`--nocapture`, or `lab bench-bfd`), for it is a measurement.

use lab::{
    Result,
    bench_bfd::{LONG_HOLD, Other, outage},
};

fn comes_before_the_hold_timer(other: Other) -> Result<()> {
    let outage = outage(other, true)?;
    lab::report::say(&format!("{other:?}: traffic stands still for {} ms", outage.as_millis()));
    assert!(!outage.is_zero(), "the cut was one");
    assert!(outage < LONG_HOLD / 3, "{outage:?}");
    Ok(())
}

#[test]
fn between_nodes_traffic_goes_another_way_before_the_hold_timer() -> Result<()> {
    comes_before_the_hold_timer(Other::Routed)
}

#[test]
fn beside_bird_traffic_goes_another_way_before_the_hold_timer() -> Result<()> {
    comes_before_the_hold_timer(Other::Bird)
}

#[test]
fn beside_frr_traffic_goes_another_way_before_the_hold_timer() -> Result<()> {
    comes_before_the_hold_timer(Other::Frr)
}
