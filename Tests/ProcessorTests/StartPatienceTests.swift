import Processor
import Testing

/// How long a start waits for Kafka and Redis.
@Suite struct StartPatienceTests {
  @Test func eachPeerIsToldOfOnce() {
    var patience = StartPatience(now: 5_000)
    #expect(patience.succeeded(now: 5_100) == nil)
    #expect(patience.failed(.brokers, "b", now: 5_000) == .wait(tell: "waiting: b"))
    #expect(patience.failed(.brokers, "b", now: 6_000) == .wait(tell: nil))
    #expect(patience.failed(.store, "s", now: 7_000) == .wait(tell: "waiting: s"))
    #expect(patience.failed(.loadingStore, "l", now: 8_000) == .wait(tell: "waiting: l"))
    #expect(patience.succeeded(now: 9_000) == 4)
  }

  @Test func onlyALoadingStoreIsWaitedForWithoutEnd() {
    let end = 5_000 + StartPatience.milliseconds
    for peer in [StartPatience.Peer.brokers, .store] {
      var patience = StartPatience(now: 5_000)
      #expect(patience.failed(peer, "p", now: end - 1) == .wait(tell: "waiting: p"))
      guard case .giveUp(let reason) = patience.failed(peer, "p", now: end) else {
        Issue.record("\(peer) is waited for after the time is over")
        continue
      }
      #expect(reason.contains("waited for 60 s"))
    }
    var patience = StartPatience(now: 5_000)
    #expect(patience.failed(.loadingStore, "l", now: 100 * end) == .wait(tell: "waiting: l"))
  }
}
