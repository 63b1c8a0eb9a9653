//! What the exit status says.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it should.
    Done,
    /// It failed.
    Failed,
    /// An argument or a setting is wrong.
    Usage,
    /// It did what it should, and what it found is not in order.
    Unclean,
    /// It needs a confirmation or an input.
    Refused,
    /// The credentials are not accepted, or lack a right.
    NotPermitted,
    /// A server cannot be reached.
    Unreachable,
    /// Another process is at it; the same command may succeed later.
    TryAgain,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

/// The statuses, for the help of the program and its manual.
pub(crate) const STATUSES: &str = "\
Exit status:
  0    done
  1    failed
  2    an argument or a setting is wrong
  3    done, and what was found is not in order (doctor, health, validate, migrate plan)
  4    refused: a confirmation (--yes) or an input is missing
  5    not permitted: the credentials are refused, or lack a right
  69   a server cannot be reached, or did not answer in time
  75   another process is at it: try again later
  130  interrupted (Ctrl-C); 143 terminated";

impl Exit {
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unclean => 3,
            Self::Refused => 4,
            Self::NotPermitted => 5,
            Self::Unreachable => 69,
            Self::TryAgain => 75,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_status() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Unclean,
            Exit::Refused,
            Exit::NotPermitted,
            Exit::Unreachable,
            Exit::TryAgain,
            Exit::Interrupted,
        ] {
            assert!(
                STATUSES.contains(&format!("\n  {:<3}  ", exit.status())),
                "{exit:?}"
            );
        }
        assert!(STATUSES.ends_with("; 143 terminated"));
        assert_eq!(Exit::Terminated.status(), 143);
    }
}
