import BrokerCore
import Glibc
import LocalBroker

/// The broker under test: the one named in PLUMB_TEST_BROKERS, or one of our own in this process.
enum TestBroker {
  private static let named = getenv("PLUMB_TEST_BROKERS").map { String(cString: $0) }
  private static let own = Task<LocalBroker, any Error> { try await LocalBroker.start(configuration()) }

  /// The shortest session that the broker allows: Kafka's default, or less with our own.
  static var sessionMilliseconds: Int { named == nil ? 2_000 : 6_000 }

  static func configuration() -> LocalBrokerConfiguration {
    var configuration = LocalBrokerConfiguration()
    configuration.limits.sessionTimeoutMin = 1_000
    // As a cluster does it: a transaction's end is answered before its markers are written.
    configuration.markerDelay = 20
    return configuration
  }

  static func address() async throws -> String {
    if let named { return named }
    return "127.0.0.1:\(try await own.value.port)"
  }

  /// A name that no other test and no other run uses.
  static func unique(_ prefix: String) -> String {
    "\(prefix)-\(getpid())-\(UInt64.random(in: 0..<1 << 40))"
  }
}
