//! What a peer can do wrong, and what each of these says about the peer itself.

/// Points at which a peer is banned.
pub const BAN_POINTS: u32 = 100;

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Offence {
    /// Gossiped bytes that are no message at all.
    Garbage,
    /// A gossiped message that is invalid for everyone.
    Invalid,
    /// More gossip than a peer may bring: dropped unread.
    Flood,
    /// No answer in time.
    Stalled,
    /// A request that cannot be understood.
    Malformed,
    /// Request after request that is refused.
    Haste,
    /// An answer that does not fit its question.
    BrokeProtocol,
    /// A block in an answer that is invalid for everyone.
    InvalidAnswer,
    /// A chain that it claims to have and cannot show.
    Lied,
    /// It is on another network.
    WrongNetwork,
}

/// What an offence says about the peer, and so what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It did that itself: so many points towards a ban.
    Certain(u32),
    /// It brought what somebody else may have made. Lean clients forward before they validate, so this only lowers
    /// a bounded score, which heals, and never bans.
    Relayed,
    /// It said nothing. Sync stops believing its claims; nothing is held against it.
    Silent,
}

impl Offence {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Garbage,
        Self::Invalid,
        Self::Flood,
        Self::Stalled,
        Self::Malformed,
        Self::Haste,
        Self::BrokeProtocol,
        Self::InvalidAnswer,
        Self::Lied,
        Self::WrongNetwork,
    ];

    /// What it says about the peer.
    #[must_use]
    pub const fn weight(self) -> Weight {
        match self {
            Self::Garbage | Self::Invalid | Self::Flood => Weight::Relayed,
            Self::Stalled => Weight::Silent,
            // Another version of the protocol may ask for what we do not know.
            Self::Malformed | Self::Haste => Weight::Certain(5),
            Self::BrokeProtocol | Self::InvalidAnswer => Weight::Certain(25),
            Self::Lied => Weight::Certain(50),
            Self::WrongNetwork => Weight::Certain(BAN_POINTS),
        }
    }

    /// The name that logs and metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Invalid => "invalid",
            Self::Flood => "flood",
            Self::Stalled => "stalled",
            Self::Malformed => "malformed",
            Self::Haste => "haste",
            Self::BrokeProtocol => "broke_protocol",
            Self::InvalidAnswer => "invalid_answer",
            Self::Lied => "lied",
            Self::WrongNetwork => "wrong_network",
        }
    }
}
