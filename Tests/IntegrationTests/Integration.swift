import Foundation
import Testing
import TestSupport

/// The real binary with a real broker and a real Redis, and what befalls them. One test at a time: each runs several
/// processes, and the faults' timing should come from the tests.
@Suite(
  .serialized, .timeLimit(.minutes(30)),
  .enabled(if: RedisProcess.executable != nil, "redis-server is missing: install it to run these tests"))
enum Integration {
  /// A test's body on a thread of its own: it waits for processes, and the pool's threads have other work.
  static func expectNone(_ body: @escaping @Sendable () throws -> [String]) async throws {
    let problems = try await withCheckedThrowingContinuation {
      (done: CheckedContinuation<[String], any Error>) in
      Thread.detachNewThread { done.resume(with: Result { try body() }) }
    }
    if !problems.isEmpty { Issue.record("\(problems.joined(separator: "\n"))") }
  }

  /// The seed of a test: PLUMB_TEST_SEED repeats what a failure has printed.
  static func seed() -> UInt64 {
    number("PLUMB_TEST_SEED") ?? UInt64.random(in: .min ... .max)
  }

  static func number(_ variable: String) -> UInt64? {
    ProcessInfo.processInfo.environment[variable].flatMap(UInt64.init)
  }

  /// The first of the problems, after what it takes to find their cause: of a long output the end is kept.
  static func report(_ problems: [String], _ seed: UInt64, _ site: Site) -> [String] {
    if problems.isEmpty { return [] }
    return [site.logs, "seed \(seed), \(problems.count) problems:"] + problems.prefix(5)
  }
}

/// What people do with the real binary from the first event to the last answer. One at a time as well, but beside
/// `Integration`: both wait most of the time.
@Suite(
  .serialized, .timeLimit(.minutes(30)),
  .enabled(if: RedisProcess.executable != nil, "redis-server is missing: install it to run these tests"))
enum Journeys {}
