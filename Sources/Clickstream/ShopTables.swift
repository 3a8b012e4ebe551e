/// What the shop knows of its users and items: rows that change from one generation to the next, the same for the same
/// options on any machine.
public struct ShopTables: Sendable {
  /// A user's row.
  public struct User: Sendable, Hashable {
    /// As in the events.
    public var id: String
    /// Two letters (ISO 3166-1).
    public var country: String
    /// What the user pays for: `free`, `plus` or `gold`.
    public var tier: String
    /// When the account was made, in seconds since 1970.
    public var signupSeconds: Int64
  }

  /// An item's row.
  public struct Item: Sendable, Hashable {
    /// As in the events.
    public var id: String
    /// As in the events.
    public var category: String
    /// Who makes it: `b1` to `b200`.
    public var brand: String
    /// What it costs now; events have the price before reductions.
    public var priceCents: Int64
    /// Whether there are any left.
    public var isInStock: Bool
  }

  /// What a generation does to a row.
  public enum Change<Row: Sendable & Hashable>: Sendable, Hashable {
    /// It stays as it is.
    case none
    /// It is this now.
    case row(Row)
    /// It is deleted. A later generation may bring it back.
    case gone
  }

  /// How many users there are.
  public var userCount: Int { options.users }
  /// How many items there are.
  public var itemCount: Int { options.items }

  private let options: ClickstreamOptions
  private let catalogue: Catalogue

  private static let countries = ["US", "DE", "IN", "BR", "JP", "GB", "FR", "CA", "PL", "KE"]
  private static let tiers = ["free", "free", "free", "free", "plus", "plus", "gold"]
  private static let brands: UInt64 = 200
  /// Of a hundred users or items so many change from one generation to the next.
  private static let changingShare: UInt64 = 2
  /// Of a thousand users so many are gone after a generation, of which most changes bring them back.
  private static let leavingShare: UInt64 = 1
  private static let fiveYearsSeconds: UInt64 = 157_680_000

  /// The tables of the shop whose events the same options make. Traps if `options.mistake` is not nil.
  public init(_ options: ClickstreamOptions) {
    options.check()
    self.options = options
    catalogue = Catalogue(categories: UInt32(options.categories))
  }

  /// What a generation does to the user of a rank, from 1; generation 0 makes all of them.
  public func user(_ rank: Int, generation: Int) -> Change<User> {
    let draw = draw(rank, 1 << 40, generation)
    if generation > 0 {
      if draw % 1_000 < Self.leavingShare { return .gone }
      guard (draw >> 16) % 100 < Self.changingShare else { return .none }
    }
    let lasting = self.draw(rank, 1 << 40, -1)
    let age = (lasting >> 8) % Self.fiveYearsSeconds
    return .row(
      User(
        id: "u\(rank)", country: Self.countries[Int(lasting % UInt64(Self.countries.count))],
        tier: Self.tiers[Int((draw >> 32) % UInt64(Self.tiers.count))],
        signupSeconds: options.startMilliseconds / 1_000 - Int64(age)))
  }

  /// The same of an item.
  public func item(_ rank: Int, generation: Int) -> Change<Item> {
    let draw = draw(rank, 1 << 41, generation)
    if generation > 0, (draw >> 16) % 100 >= Self.changingShare { return .none }
    let number = UInt32(rank - 1)
    // Reduced by none, a tenth, a fifth or two fifths.
    let share: UInt64 = [100, 90, 80, 60][Int((draw >> 24) % 4)]
    return .row(
      Item(
        id: "i\(rank)", category: "c\(catalogue.category(of: number) + 1)",
        brand: "b\(self.draw(rank, 1 << 41, -1) % Self.brands + 1)",
        priceCents: Int64(catalogue.priceCents(of: number) * share / 100),
        isInStock: (draw >> 32) % 20 > 0))
  }

  private func draw(_ rank: Int, _ table: UInt64, _ generation: Int) -> UInt64 {
    mix(mix(options.seed ^ table &+ UInt64(rank)) &+ UInt64(bitPattern: Int64(generation)))
  }
}
