/// A time zone as data: FeatureCore knows no zone database, and the fingerprint covers what it was given, so
/// two machines with different databases cannot fold into the same state unnoticed.
public struct TimeZoneRules: Hashable, Sendable {
  /// From one moment on, an offset.
  public struct Transition: Hashable, Sendable {
    /// Seconds since the epoch.
    public var atSeconds: Int64
    /// Local time minus UTC, in seconds.
    public var offsetSeconds: Int64

    /// A transition from its parts.
    public init(atSeconds: Int64, offsetSeconds: Int64) {
      self.atSeconds = atSeconds
      self.offsetSeconds = offsetSeconds
    }
  }

  /// The IANA name.
  public var name: String
  /// The offset before the first transition.
  public var initialOffsetSeconds: Int64
  /// Every change of the offset, ascending.
  public var transitions: [Transition]

  /// A zone from its parts.
  public init(name: String, initialOffsetSeconds: Int64, transitions: [Transition]) {
    self.name = name
    self.initialOffsetSeconds = initialOffsetSeconds
    self.transitions = transitions
  }

  /// The rules from 1970 on; before, what held when it began. The zone database promises no more: older rules change with
  /// what is found out about them, and zones are merged that have differed only then.
  public var since1970: TimeZoneRules {
    let past = transitions.prefix { $0.atSeconds <= 0 }
    return TimeZoneRules(
      name: name, initialOffsetSeconds: past.last?.offsetSeconds ?? initialOffsetSeconds,
      transitions: Array(transitions[past.endIndex...]))
  }

  /// Coordinated universal time.
  public static let utc = TimeZoneRules(name: "UTC", initialOffsetSeconds: 0, transitions: [])
}
