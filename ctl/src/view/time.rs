//! Times for people: ages short, moments in RFC 3339.

/// An age or interval in at most two units: `42s`, `12m05s`, `3h07m`, `4d03h`.
pub(crate) fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// A moment in RFC 3339, UTC; a number that is no moment stays a number.
pub(crate) fn moment(unix_seconds: i64) -> String {
    jiff::Timestamp::from_second(unix_seconds).map_or_else(|_| unix_seconds.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_at_most_two_units() {
        let ages = [0, 59, 60, 725, 3_600, 11_220, 86_399, 86_400, 356_400].map(age);
        assert_eq!(ages, ["0s", "59s", "1m00s", "12m05s", "1h00m", "3h07m", "23h59m", "1d00h", "4d03h"]);
    }

    #[test]
    fn a_moment_is_rfc_3339() {
        assert_eq!(moment(1_795_231_920), "2026-11-21T03:32:00Z");
        assert_eq!(moment(i64::MAX), i64::MAX.to_string());
    }
}
