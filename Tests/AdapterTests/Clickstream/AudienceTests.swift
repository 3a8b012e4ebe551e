import Clickstream
import FeatureCore
import Foundation
import Testing

@Suite struct AudienceTests {
  private static let start: Int64 = 1_767_225_600_000
  private static let hour: Int64 = 3_600_000

  private static var options: ClickstreamOptions {
    var options = ClickstreamOptions()
    (options.users, options.items, options.categories) = (50, 300, 8)
    return options
  }

  /// Each item to each user once, from a time on, a millisecond apart.
  private static func everything(from start: Int64, _ options: ClickstreamOptions) throws -> [ShownItem] {
    var shown: [ShownItem] = []
    for user in 1...options.users {
      for item in 1...options.items {
        shown.append(
          try #require(
            ShownItem(
              user: "u\(user)", item: "i\(item)", milliseconds: start + Int64(shown.count), of: options)))
      }
    }
    return shown
  }

  /// The lines that come of it; `cut` says behind which of them a new audience begins.
  private static func lines(
    _ shown: [ShownItem], _ options: ClickstreamOptions, cut: Int? = nil
  ) -> [String] {
    var bytes: [UInt8] = []
    let parts = cut.map { [shown[..<$0], shown[$0...]] } ?? [shown[...]]
    for part in parts {
      var audience = Audience(options)
      for item in part {
        audience.show(item)
        while audience.writeNext(into: &bytes, toTheEnd: false) != nil {}
      }
      while audience.writeNext(into: &bytes, toTheEnd: true) != nil {}
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  private static func clicks(_ lines: [String]) throws -> [ParsedClick] {
    try lines.map { try JSONDecoder().decode(ParsedClick.self, from: Data($0.utf8)) }
  }

  @Test func sameSeedSameLinesHoweverTheyAreCut() throws {
    let shown = try Self.everything(from: Self.start, Self.options)
    let lines = Self.lines(shown, Self.options)
    // Pinned: documents quote what comes of it.
    let hash = Array(lines.joined().utf8).withUnsafeBytes { Hash64.hash($0) }
    #expect(hash == 8_205_707_239_442_405_871)
    let again = Self.lines(shown, Self.options) == lines
    #expect(again)
    let isCutAlike = Set(Self.lines(shown, Self.options, cut: 5_001)) == Set(lines)
    #expect(isCutAlike)
    var other = Self.options
    other.seed = 2
    let isOther = Self.lines(shown, other) != lines
    #expect(isOther)
  }

  /// An impression for each shown item, in order, and clicks behind theirs, each of its own id.
  @Test func clicksFollowWhatIsShown() throws {
    let shown = try Self.everything(from: Self.start, Self.options)
    let events = try Self.clicks(Self.lines(shown, Self.options))
    for (earlier, later) in zip(events, events.dropFirst()) { #expect(earlier.ts <= later.ts) }
    #expect(Set(events.map(\.event_id)).count == events.count)
    let seen = Dictionary(
      events.filter { $0.event_type == "impression" }.map { ("\($0.user_id) \($0.item_id)", $0.ts) }
    ) { first, _ in first }
    #expect(seen.count == shown.count)
    let clicks = events.filter { $0.event_type == "click" }
    #expect(clicks.count > 500)
    for click in clicks {
      let time = try #require(seen["\(click.user_id) \(click.item_id)"])
      #expect((1...600_000).contains(click.ts - time))
    }
    // Without this item there are no clicks on it, and the others stay as they are.
    let fewer = try Self.clicks(Self.lines(shown.filter { $0.item != 6 }, Self.options))
    let others = Set(events.filter { $0.item_id != "i7" }.map(\.event_id))
    #expect(Set(fewer.map(\.event_id)).symmetricDifference(others).isEmpty)
  }

  /// Dear items are clicked less often than cheap ones, and more often behind the shift; nothing else changes.
  @Test func theShiftTurnsTheOrderOfClickRatesAround() throws {
    var options = Self.options
    options.shiftMilliseconds = Self.start + 12 * Self.hour
    func rates(from start: Int64, _ options: ClickstreamOptions) throws -> [Double] {
      let lines = Self.lines(try Self.everything(from: start, options), options)
      let clicks = try Self.clicks(lines).filter { $0.event_type == "click" }
      var prices: [UInt8] = []
      var items = ItemList(options)
      while items.writeNext(into: &prices) != nil {}
      struct Item: Decodable {
        var item_id: String
        var price: Double
      }
      var classes: [String: Int] = [:]
      for line in prices.split(separator: 0x0A) {
        let item = try JSONDecoder().decode(Item.self, from: Data(line))
        classes[item.item_id] = item.price < 18 ? 0 : item.price < 33 ? 1 : 2
      }
      #expect(classes.count == options.items)
      return (0...2).map { kind in
        Double(clicks.count { classes[$0.item_id] == kind }) / Double(classes.values.count { $0 == kind })
      }
    }
    let before = try rates(from: Self.start, options)
    let after = try rates(from: Self.start + 12 * Self.hour, options)
    #expect(before[0] > 1.2 * before[1] && before[1] > 1.2 * before[2], "\(before)")
    #expect(after[2] > 1.2 * after[1] && after[1] > 1.2 * after[0], "\(after)")
    #expect(try rates(from: Self.start, Self.options) == before)
  }

  @Test(arguments: [
    ("u0", "i1", 1), ("u51", "i1", 1), ("u1", "i301", 1), ("1", "i1", 1), ("u1", "x", 1), ("u1", "i1", -1),
  ])
  func whatIsOfAnotherShop(_ user: String, _ item: String, _ time: Int64) {
    #expect(ShownItem(user: user, item: item, milliseconds: time, of: Self.options) == nil)
  }
}
