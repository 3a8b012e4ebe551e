import Processor
import Testing

@Suite struct OwnerlessPartitionsTests {
  private let partitions = (0..<3).map { TopicPartition("clicks", $0) }

  private func shares(_ numbers: [Int]...) -> [GroupShare] {
    numbers.enumerated().map { index, numbers in
      GroupShare(member: "\(index)", partitions: numbers.map { partitions[$0] })
    }
  }

  @Test func whatLastsIsFoundAndItsEndTold() {
    var watch = OwnerlessPartitions(partitions, patienceMilliseconds: 1_000)
    #expect(watch.look(shares([0, 1], [2]), now: 0) == .none)
    #expect(watch.look(shares([0], [2]), now: 500) == .none)
    #expect(watch.look(shares([0], [2]), now: 1_499) == .none)
    #expect(watch.look(shares([0], [2]), now: 1_500) == .lasting([partitions[1]]))
    // It has been asked, and again only after twice the time.
    #expect(watch.look(shares([0], [2]), now: 3_499) == .none)
    #expect(watch.look(shares([0], [2]), now: 3_500) == .lasting([partitions[1]]))
    #expect(watch.look(shares([0, 1], [2]), now: 4_000) == .over(milliseconds: 3_500))
    #expect(watch.look(shares([0, 1], [2]), now: 5_000) == .none)
  }

  /// A rebalance has two parts, and the group shows itself in between.
  @Test func aGroupAtWorkIsWaitedFor() {
    var watch = OwnerlessPartitions(partitions, patienceMilliseconds: 1_000)
    #expect(watch.look(shares([0], [2]), now: 0) == .none)
    #expect(watch.look(nil, now: 900) == .none)
    #expect(watch.look(shares([0], [2]), now: 1_800) == .none)
    #expect(watch.look(shares([0], [1]), now: 1_850) == .none)
    #expect(watch.look(shares([0], [1]), now: 2_849) == .none)
    #expect(watch.look(shares([0], [1, 2]), now: 2_850) == .none)
  }
}
