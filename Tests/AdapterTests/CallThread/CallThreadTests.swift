import Foundation
import Synchronization
import Testing

@testable import CallThread

/// One call at a time on a thread of its own.
@Suite struct CallThreadTests {
  private struct Refusal: Error, Equatable { var number: Int }

  /// A call that ends when it is told to.
  private final class Gate: Sendable {
    let isOpen = Atomic(false)

    func pass() { while !isOpen.load(ordering: .acquiring) {} }
  }

  @Test func whoAsksGoesOnMeanwhile() throws {
    let thread = CallThread<Refusal>()
    for _ in 0..<100 {
      let gate = Gate()
      let made = Atomic(false)
      thread.start { () throws(Refusal) in
        gate.pass()
        made.store(true, ordering: .releasing)
      }
      #expect(try !thread.finish(waiting: false))
      #expect(thread.isCalling)
      gate.isOpen.store(true, ordering: .releasing)
      #expect(try thread.finish(waiting: true))
      #expect(made.load(ordering: .acquiring) && !thread.isCalling)
    }
  }

  @Test func anErrorIsToldOnceAndTheNextCallIsMade() throws {
    let thread = CallThread<Refusal>()
    for number in 0..<10 {
      thread.start { () throws(Refusal) in throw Refusal(number: number) }
      #expect(throws: Refusal(number: number)) { try thread.finish(waiting: true) }
      thread.start { () throws(Refusal) in }
      while try !thread.finish(waiting: false) {}
    }
  }

  /// What a call holds is given back by the time its end is known.
  @Test func nothingIsHeldLongerThanTheCall() throws {
    final class Load: Sendable {}
    let thread = CallThread<Refusal>()
    weak let held: Load?
    do {
      let load = Load()
      held = load
      thread.start { [load] () throws(Refusal) in _ = load }
    }
    #expect(try thread.finish(waiting: true))
    #expect(held == nil)
  }

  /// Where no thread can be had a call is made at once; once one can be had again, beside whoever asks.
  @Test func withoutAThreadACallIsMadeAtOnce() throws {
    let isFull = Atomic(true)
    let asked = Atomic(0)
    // Kept until the test ends: a thread that was left waiting would be another's.
    let thread = CallThread<Refusal> { body in
      asked.add(1, ordering: .relaxed)
      if isFull.load(ordering: .relaxed) { return false }
      Thread.detachNewThread(body)
      return true
    }
    for number in 0..<3 {
      let isMade = Atomic(false)
      thread.start { () throws(Refusal) in
        isMade.store(true, ordering: .relaxed)
        if number == 1 { throw Refusal(number: number) }
      }
      #expect(isMade.load(ordering: .relaxed) && thread.isCalling)
      if number == 1 {
        #expect(throws: Refusal(number: 1)) { try thread.finish(waiting: true) }
      } else {
        #expect(try thread.finish(waiting: false))
      }
    }
    isFull.store(false, ordering: .relaxed)
    let gate = Gate()
    thread.start { () throws(Refusal) in gate.pass() }
    #expect(try !thread.finish(waiting: false))
    gate.isOpen.store(true, ordering: .releasing)
    #expect(try thread.finish(waiting: true))
    #expect(asked.load(ordering: .relaxed) == 4)
  }

  /// As librdkafka's threads sometimes do.
  @Test func aCallThatNeverReturnsIsLeftBehind() {
    let gate = Gate()
    let start = ContinuousClock.now
    #expect(!Deadline.run(milliseconds: 50) { gate.pass() })
    #expect(.now - start < .seconds(30))
    gate.isOpen.store(true, ordering: .releasing)
    #expect(Deadline.run(milliseconds: 60_000) {})
  }
}
