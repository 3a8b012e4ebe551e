import Glibc

/// Descriptors of the process.
public enum Descriptors {
  /// Kept back from clients: for Kafka, Redis, files and the system's own.
  public static let reserve = 256

  /// Raises the process' limit to what the system allows, and returns it.
  @discardableResult
  public static func raiseLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    if limit.rlim_cur < limit.rlim_max {
      var raised = limit
      // Some programs walk over all descriptors: no more than what any load needs.
      raised.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, 65_536))
      if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
    }
    return Int(clamping: limit.rlim_cur)
  }

  /// How many connections clients may have, so that what the process itself needs is never used up.
  static func connectionsMax(wanted: Int) -> Int { max(16, min(wanted, raiseLimit() - reserve)) }
}
