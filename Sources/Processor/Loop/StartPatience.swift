/// How long a service that starts waits for those it talks to: they may be started together with it.
public struct StartPatience {
  /// Whom it waits for.
  public enum Peer: Equatable, Sendable {
    case brokers
    case store
    /// A store that reads its data, which takes as long as it takes.
    case loadingStore
  }

  /// What to do about a failed attempt.
  public enum Answer: Equatable, Sendable {
    /// Try again after a while; `tell` is news for a person.
    case wait(tell: String?)
    /// The time is over.
    case giveUp(String)
  }

  /// How long brokers and a store that doesn't load are waited for, in milliseconds: longer than their own starts take.
  public static let milliseconds: Int64 = 60_000
  private let begin: Int64
  private var told: Peer?

  /// Begins to wait at a monotonic time in milliseconds.
  public init(now: Int64) { begin = now }

  /// An attempt has failed. Each peer is told of once.
  public mutating func failed(_ peer: Peer, _ problem: String, now: Int64) -> Answer {
    let waited = now - begin
    guard peer == .loadingStore || waited < Self.milliseconds else {
      return .giveUp(
        "\(problem); waited for \(waited / 1_000) s: see whether it runs, or correct its address")
    }
    defer { told = peer }
    return .wait(tell: told == peer ? nil : "waiting: \(problem)")
  }

  /// For how many seconds a person has to be told that somebody was waited for; nil if nobody was.
  public func succeeded(now: Int64) -> Int64? { told == nil ? nil : (now - begin) / 1_000 }
}
