import FeatureCore
import Foundation
import Testing
import TestSupport

@testable import Processor

/// Commands run once for each trigger, one at a time, in their order; crashes repeat, and lose nothing.
@Suite struct TriggerFollowerTests {
  private static func trigger(_ number: Int, version: Int = 1, view: String = "v", name: String = "t")
    -> [UInt8]
  {
    let id = String(repeating: "0", count: 12) + String(number + 1_000)
    return Array(
      #"{"id":"\#(id)","app":"shop","version":\#(version),"view":"\#(view)","trigger":"\#(name)","at":"2026-01-02T00:00:00Z"}"#
        .utf8)
  }

  private struct Training: Decodable {
    var id: String
    var event: String
    var attempt: Int
    var outcome: String?
    var exit_status: Int?
    var signal: Int?
    var problem: String?
    var timed_out: Bool?
    var seconds: Double?
    var last_line: String?
    var command: [String]?
  }

  private static func trainings(_ log: MemoryTriggerLog) throws -> [Training] {
    try log.trainings.map { record in
      let training = try JSONDecoder().decode(Training.self, from: Data(record.value))
      #expect(Array(training.id.utf8) == record.key)
      return training
    }
  }

  private final class Notes {
    var reports: [String] = []
    var notes: [String] = []
  }

  private let notes = Notes()

  private func follower(
    _ log: MemoryTriggerLog, _ command: ScriptedCommand, _ followed: FollowedTriggers = .init(version: 1),
    startsAtEnd: Bool = false, limits: FollowerLimits = FollowerLimits()
  ) -> TriggerFollower<MemoryTriggerLog, ScriptedCommand> {
    TriggerFollower(
      log, command, followed, trainingTopic: "shop.trainings", arguments: ["./retrain.sh", "--full"],
      instance: "here", startsAtEnd: startsAtEnd, limits: limits,
      report: { [notes] in notes.reports.append($0) },
      note: { [notes] in notes.notes.append($0) })
  }

  private func run(
    _ follower: TriggerFollower<MemoryTriggerLog, ScriptedCommand>, from start: Int64 = 0, steps: Int,
    milliseconds: Int64 = 100
  ) throws {
    for step in 0..<Int64(steps) {
      let now = start + step * milliseconds
      try follower.step(now: now, time: EventTime(microseconds: now * 1_000), pollMilliseconds: 0)
    }
  }

  private static func id(_ number: Int) -> String {
    String(repeating: "0", count: 12) + String(number + 1_000)
  }

  @Test func oneAfterTheOther() throws {
    let log = MemoryTriggerLog((0..<3).map { Self.trigger($0) })
    let command = ScriptedCommand()
    command.plan = { _ in (2, CommandEnd(exitStatus: 0, lastLine: "auc 0.73")) }
    try run(follower(log, command), steps: 30)
    #expect(command.started == [0, 1, 2].map(Self.id))
    #expect(command.inputs[1] == Self.trigger(1) + [UInt8(ascii: "\n")])
    #expect(
      command.environments[2] == [
        "PLUMB_TRIGGER_ID": Self.id(2), "PLUMB_TRIGGER": "t", "PLUMB_VIEW": "v", "PLUMB_ATTEMPT": "1",
      ])
    let trainings = try Self.trainings(log)
    #expect(trainings.map(\.event) == ["begin", "end", "begin", "end", "begin", "end"])
    #expect(trainings.map(\.id) == [0, 0, 1, 1, 2, 2].map(Self.id))
    #expect(trainings[0].command == ["./retrain.sh", "--full"])
    #expect(trainings[1].outcome == "succeeded" && trainings[1].exit_status == 0)
    #expect(
      trainings[1].last_line == "auc 0.73" && trainings[1].timed_out == false && trainings[1].seconds == 0.3)
    #expect(log.committed == 3 && notes.reports.isEmpty)
  }

  @Test func failuresAreTriedAgainAfterAPause() throws {
    let log = MemoryTriggerLog([Self.trigger(0), Self.trigger(1)])
    let command = ScriptedCommand()
    command.plan = { id in
      (0, id == Self.id(0) ? CommandEnd(problem: "no such file") : CommandEnd(exitStatus: 3))
    }
    var limits = FollowerLimits()
    limits.attemptsMax = 3
    let follower = follower(log, command, limits: limits)
    try run(follower, steps: 10)
    #expect(command.started.count == 1, "the second attempt comes after a second")
    try run(follower, from: 1_100, steps: 100)
    let trainings = try Self.trainings(log)
    #expect(
      trainings.filter { $0.event == "end" }.map(\.outcome) == [
        "retrying", "retrying", "failed", "retrying", "retrying", "failed",
      ])
    #expect(trainings.filter { $0.event == "begin" }.map(\.attempt) == [1, 2, 3, 1, 2, 3])
    #expect(trainings[1].problem == "no such file" && trainings[1].exit_status == nil)
    #expect(trainings.last?.exit_status == 3 && log.committed == 2)
    #expect(notes.reports.contains { $0.contains("that was the last of 3 attempts") })
  }

  @Test func whatTakesTooLongIsEnded() throws {
    let log = MemoryTriggerLog([Self.trigger(0)])
    let command = ScriptedCommand()
    // It returns 0 once it is asked, and has not done its work all the same.
    command.plan = { _ in (1_000, CommandEnd(exitStatus: 0)) }
    command.obeys = false
    var limits = FollowerLimits()
    limits.timeoutMilliseconds = 5_000
    limits.attemptsMax = 1
    try run(follower(log, command, limits: limits), steps: 170)
    #expect(command.asked == ["terminate", "kill"])
    let end = try #require(try Self.trainings(log).last)
    #expect(end.outcome == "failed" && end.timed_out == true && end.signal == 9)
    #expect(end.seconds.map { 14.9...15.5 ~= $0 } == true)
  }

  /// Other versions, views and names, and what is no trigger, are passed over, and not seen again.
  @Test func othersArePassedOver() throws {
    let log = MemoryTriggerLog([
      Self.trigger(0, version: 2), Self.trigger(1, view: "w"), Self.trigger(2, name: "u"),
      Array("garbage".utf8), Self.trigger(3), Self.trigger(4, version: 2),
    ])
    let command = ScriptedCommand()
    let followed = FollowedTriggers(version: 1, views: ["v"], triggers: ["t"])
    try run(follower(log, command, followed), steps: 20)
    #expect(command.started == [Self.id(3)])
    #expect(log.committed == 6)
    #expect(notes.reports.map { $0.contains("is no record of a trigger") } == [true])
  }

  @Test func beginsAtTheEndIfAsked() throws {
    let log = MemoryTriggerLog([Self.trigger(0)])
    let command = ScriptedCommand()
    let follower = follower(log, command, startsAtEnd: true)
    try run(follower, steps: 3)
    log.triggers.append(Self.trigger(1))
    try run(follower, from: 300, steps: 10)
    #expect(command.started == [Self.id(1)])
    // Once there are offsets, they count.
    log.crash()
    try run(self.follower(log, command, startsAtEnd: false), steps: 5)
    #expect(command.started == [Self.id(1)])
  }

  /// A command that a killed process has left running.
  @Test func waitsForAnOrphan() throws {
    let log = MemoryTriggerLog([Self.trigger(0)])
    let command = ScriptedCommand()
    command.isFreeNow = false
    let follower = follower(log, command)
    try run(follower, steps: 10)
    #expect(command.started.isEmpty && notes.reports.count == 1)
    command.isFreeNow = true
    try run(follower, from: 1_000, steps: 5)
    #expect(command.started == [Self.id(0)] && log.committed == 1)
  }

  @Test func stoppingEndsTheCommandAndKeepsTheTrigger() throws {
    let log = MemoryTriggerLog([Self.trigger(0)])
    let command = ScriptedCommand()
    command.plan = { _ in (1_000, CommandEnd(exitStatus: 0)) }
    let first = follower(log, command)
    try run(first, steps: 5)
    #expect(!first.finish(now: 500, time: EventTime(microseconds: 0)))
    #expect(first.finish(now: 600, time: EventTime(microseconds: 0)))
    #expect(command.asked == ["terminate"])
    #expect(try Self.trainings(log).map { $0.outcome ?? $0.event } == ["begin", "interrupted"])
    #expect(log.committed == nil)
    log.crash()
    command.plan = { _ in (0, CommandEnd(exitStatus: 0)) }
    try run(follower(log, command), steps: 6)
    #expect(command.started == [Self.id(0), Self.id(0)] && log.committed == 1)
  }

  @Test func aFullQueuePausesTheTopic() throws {
    let log = MemoryTriggerLog((0..<300).map { Self.trigger($0) })
    let command = ScriptedCommand()
    var limits = FollowerLimits()
    limits.queueMax = 120
    let follower = follower(log, command, limits: limits)
    var wasPaused = false
    for step in 0..<2_000 {
      try run(follower, from: Int64(step) * 100, steps: 1)
      wasPaused = wasPaused || log.isPaused
    }
    #expect(wasPaused && !log.isPaused)
    #expect(command.started == (0..<300).map(Self.id))
  }

  /// Errors and crashes at any place: each trigger ends for good exactly once, in order, and only what had not ended runs again.
  @Test(arguments: 0..<200 as Range<UInt64>) func faults(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let count = 1 + Int(random.next() % 8)
    let log = MemoryTriggerLog((0..<count).map { Self.trigger($0, version: $0 % 4 == 3 ? 2 : 1) })
    let ours = (0..<count).filter { $0 % 4 != 3 }.map(Self.id)
    let remedies: [LogError.Remedy] = [.retry, .retry, .abort, .fenced]
    var isCalm = false
    log.failure = { call in
      guard !isCalm, random.next() % 6 == 0 else { return nil }
      let remedy = remedies[Int(random.next() % 4)]
      return LogError(call == "poll" && remedy == .abort ? .retry : remedy, "a fault of \(call)")
    }
    var limits = FollowerLimits()
    limits.attemptsMax = 2
    var started: [String] = []
    var (now, turns) = (Int64(0), 0)
    while log.committed != Int64(count) {
      turns += 1
      isCalm = turns > 60
      guard turns < 100 else {
        Issue.record("seed \(seed): never done, at \(log.committed ?? -1) of \(count)")
        return
      }
      let command = ScriptedCommand()
      var own = SplitMix64(seed: random.next())
      command.plan = { _ in
        (Int(own.next() % 4), CommandEnd(exitStatus: own.next() % 3 == 0 ? 1 : 0, lastLine: "x"))
      }
      let follower = follower(log, command, limits: limits)
      let steps = isCalm ? 400 : Int(random.next() % 40)
      do {
        for _ in 0..<steps {
          now += 300
          try follower.step(now: now, time: EventTime(microseconds: now), pollMilliseconds: 0)
        }
        if random.next() % 2 == 0 {
          while !follower.finish(now: now, time: EventTime(microseconds: now)) { now += 300 }
        }
      } catch { #expect(error.remedy == .fenced, "seed \(seed): \(error)") }
      started += command.started
      log.crash()
    }
    let trainings = try Self.trainings(log)
    let final = trainings.filter { $0.outcome == "succeeded" || $0.outcome == "failed" }
    #expect(final.map(\.id) == ours, "seed \(seed)")
    // In order, whatever was repeated.
    #expect(started == started.sorted() && Set(started) == Set(ours), "seed \(seed): \(started)")
  }
}
