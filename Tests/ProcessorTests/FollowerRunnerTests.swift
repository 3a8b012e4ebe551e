import FeatureCore
import Testing

@testable import Processor

/// A follower gets a new log when its group has to be joined anew, but not for ever.
@Suite struct FollowerRunnerTests {
  /// A clock that only pauses and polls move, and what is told.
  private final class Course {
    var now: Int64 = 0
    var end = Int64.max
    var reports: [String] = []
    var logs: [MemoryTriggerLog] = []
  }

  private let course = Course()

  /// Runs until the course's end, with logs that fail as they are told to.
  private func run(
    makeLog: @escaping (_ count: Int) throws(LogError) -> Void = { (_) throws(LogError) in },
    failure: @escaping (_ log: Int) -> LogError?
  ) throws(ProcessorError) {
    let course = course
    let clock = FollowerClock(
      now: { course.now }, time: { EventTime(microseconds: course.now * 1_000) },
      pause: { course.now += $0 }, isStopping: { course.now >= course.end })
    var tries = 0
    let runner = FollowerRunner(instance: "here", clock, report: { course.reports.append($0) }) {
      () throws(LogError) -> MemoryTriggerLog in
      tries += 1
      try makeLog(tries)
      let log = MemoryTriggerLog([])
      let number = course.logs.count
      log.failure = { call in
        course.now += 100
        return call == "poll" ? failure(number) : nil
      }
      course.logs.append(log)
      return log
    }
    try runner.run { log in
      TriggerFollower(
        log, ScriptedCommand(), FollowedTriggers(version: 1), trainingTopic: "shop.trainings",
        arguments: ["x"],
        instance: "here", startsAtEnd: false, limits: FollowerLimits(), report: { course.reports.append($0) },
        note: { _ in })
    }
  }

  @Test func whoIsFencedJoinsAnew() throws {
    course.end = 10_000
    try run { $0 == 0 ? LogError(.fenced, "taken over") : nil }
    #expect(course.logs.count == 2)
    #expect(course.reports == ["joining the group anew: taken over"])
  }

  @Test func whoIsFencedAgainAndAgainGivesUp() {
    let error = #expect(throws: ProcessorError.self) { try run { _ in LogError(.fenced, "taken over") } }
    #expect(course.logs.count == 5)
    #expect(error?.description.contains("'here'; give each its own (--instance)") == true)
  }

  /// Four joins in half a minute are no quarrel.
  @Test func whoIsFencedNowAndThenGoesOn() throws {
    course.end = 200_000
    try run { log in
      // Each log lasts for about ten seconds.
      course.now >= Int64(log + 1) * 10_000 ? LogError(.fenced, "taken over") : nil
    }
    #expect(course.logs.count > 10)
  }

  @Test func brokersThatAreAwayAreWaitedForAndToldOnce() throws {
    course.end = 10_000
    try run(makeLog: { (count) throws(LogError) in
      if count < 4 { throw LogError(.retry, "no broker") }
    }) { _ in nil }
    #expect(course.logs.count == 1)
    #expect(course.reports == ["no broker; trying again"])
  }

  @Test func whatOnlyAPersonCanHelpWithIsAnError() {
    let error = #expect(throws: ProcessorError.self) {
      try run(makeLog: { (_) throws(LogError) in throw LogError(.fatal, "no such user") }) { _ in nil }
    }
    #expect(error?.description == "no such user")
    #expect(throws: ProcessorError.self) { try run { _ in LogError(.fatal, "no such topic") } }
    #expect(course.logs.count == 1)
  }
}
