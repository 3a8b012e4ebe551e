/// Something that somebody else has chosen to show. Users and items count from 0.
public struct ShownItem: Sendable {
  /// Who sees it.
  public var user: UInt32
  /// What is seen.
  public var item: UInt32
  /// When, in milliseconds since the epoch.
  public var milliseconds: Int64

  /// Nil unless the names are those of a shop's users and items, `u1` to `u<users>` and `i1` to `i<items>`, and the time is
  /// between 1970 and 2096.
  public init?(user: String, item: String, milliseconds: Int64, of options: ClickstreamOptions) {
    guard let user = Self.rank(user, "u", of: options.users),
      let item = Self.rank(item, "i", of: options.items),
      ClickstreamOptions.times ~= milliseconds
    else { return nil }
    (self.user, self.item, self.milliseconds) = (user, item, milliseconds)
  }

  private static func rank(_ name: String, _ prefix: String, of count: Int) -> UInt32? {
    guard name.hasPrefix(prefix), let number = UInt32(name.dropFirst()), 1...count ~= Int(number) else {
      return nil
    }
    return number - 1
  }
}

/// The people of a shop, who click what they like of what they are shown: NDJSON as a `Clickstream` writes it, an impression for
/// each shown item, and a click for some.
///
/// Whether somebody clicks depends on the user, the item, the time and the seed alone, not on what else is shown, nor on how what
/// is shown is cut into streams.
public struct Audience: Sendable {
  private let catalogue: Catalogue
  private let tastes: Tastes
  private let seed: UInt64
  /// By milliseconds.
  private var coming = TimedHeap<ShopEvent>()
  private var shownUntil: Int64 = 0
  private var scratch = [UInt8](repeating: 0, count: LineFormat.lineBytesMax)

  /// Traps if `options.mistake` is not nil.
  public init(_ options: ClickstreamOptions) {
    options.check()
    catalogue = Catalogue(categories: UInt32(options.categories))
    tastes = Tastes(seed: mix(options.seed), shiftMilliseconds: options.shiftMilliseconds)
    seed = options.seed
  }

  /// Lets somebody see something.
  public mutating func show(_ shown: ShownItem) {
    var random = Random(
      seed: mix(mix(seed ^ UInt64(shown.milliseconds)) ^ (UInt64(shown.user) &<< 32 | UInt64(shown.item))))
    // The same for what is shown again, so that it is known as a repetition.
    let id = (random.next() &>> 2) &<< 1
    var event = ShopEvent(
      id: id, milliseconds: shown.milliseconds, session: 0, user: shown.user, item: shown.item,
      action: .impression,
      quantity: 0)
    coming.insert(event, at: UInt64(shown.milliseconds))
    shownUntil = max(shownUntil, shown.milliseconds)
    guard random.happens(tastes.click(shown, catalogue)) else { return }
    let delay = 1 + random.exponential(mean: Tastes.clickMillisecondsMean)
    event.id += 1
    event.milliseconds += Int64(min(delay, Tastes.clickMillisecondsMax))
    event.action = .click
    coming.insert(event, at: UInt64(event.milliseconds))
  }

  /// Appends the next line to a buffer: of what happens up to the latest time at which something was shown, or, `toTheEnd`, of all
  /// that comes of it. Nil if there is none.
  public mutating func writeNext(into buffer: inout [UInt8], toTheEnd: Bool) -> ClickstreamLine? {
    guard let time = coming.firstTime, toTheEnd || time <= UInt64(shownUntil) else { return nil }
    let event = coming.removeFirst()
    let start = buffer.count
    let user = scratch.withUnsafeMutableBufferPointer { memory in
      var format = LineFormat(memory)
      format.write(event, catalogue, damage: nil)
      buffer.append(contentsOf: UnsafeBufferPointer(rebasing: memory[..<format.count]))
      return format.user
    }
    return ClickstreamLine(
      kind: .fresh, arrivalMilliseconds: event.milliseconds,
      userBytes: (start + user.lowerBound)..<(start + user.upperBound))
  }
}

/// What people like, and what whoever shows them something can only learn from their clicks.
struct Tastes: Sendable {
  static let clickMillisecondsMean: UInt64 = 20_000
  static let clickMillisecondsMax: UInt64 = 600_000
  /// How likely a click is, by how much the item is liked: nearly twice as likely for each step, until saturation.
  private static let chances = [0.008, 0.013, 0.022, 0.036, 0.06, 0.1, 0.17, 0.28, 0.42, 0.56, 0.7].map {
    Chance($0)
  }

  let seed: UInt64
  /// From when on people like what is dear, and not what is cheap any more.
  let shiftMilliseconds: Int64?

  /// 0 to 3 for the category, for ever; 0, 2 or 4 for the price, turned around by the shift; 0 or 1 for the item; and 2 for the category
  /// that a user is after in this hour.
  func click(_ shown: ShownItem, _ catalogue: Catalogue) -> Chance {
    let category = catalogue.category(of: shown.item)
    let user = mix(seed ^ UInt64(shown.user))
    let affinity = Int(mix(user ^ UInt64(category)) & 3)
    let quality = Int(mix(seed ^ UInt64(shown.item) &<< 32) & 1)
    let hour = UInt64(shown.milliseconds / 3_600_000)
    let sought = mix(user ^ hour &<< 32) % UInt64(catalogue.categories)
    let dearness = priceClass(catalogue.priceCents(of: shown.item))
    let isShifted = shiftMilliseconds.map { shown.milliseconds >= $0 } ?? false
    let liking =
      affinity + quality + 2 * (isShifted ? dearness : 2 - dearness) + (sought == UInt64(category) ? 2 : 0)
    return Self.chances[liking]
  }

  /// Thirds of the items, about: cheap, fair and dear.
  private func priceClass(_ cents: UInt64) -> Int { cents < 1_800 ? 0 : cents < 3_300 ? 1 : 2 }
}

/// What a shop sells, a line of NDJSON for each item: rows for a table.
public struct ItemList: Sendable {
  private let options: ClickstreamOptions
  private let catalogue: Catalogue
  private var next: UInt32 = 0

  /// Traps if `options.mistake` is not nil.
  public init(_ options: ClickstreamOptions) {
    options.check()
    self.options = options
    catalogue = Catalogue(categories: UInt32(options.categories))
  }

  /// Appends the next line to a buffer, and says where in it the item's id stands; nil behind the last.
  public mutating func writeNext(into buffer: inout [UInt8]) -> Range<Int>? {
    guard next < options.items else { return nil }
    let item = next
    next += 1
    buffer += "{\"item_id\":\"".utf8
    let start = buffer.count
    buffer += "i\(item + 1)".utf8
    let id = start..<buffer.count
    let cents = catalogue.priceCents(of: item)
    let price = "\(cents / 100).\(cents / 10 % 10)\(cents % 10)"
    buffer +=
      "\",\"ts\":\(options.startMilliseconds),\"category\":\"c\(catalogue.category(of: item) + 1)\",\"price\":\(price)}\n"
      .utf8
    return id
  }
}
