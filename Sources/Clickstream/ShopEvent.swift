/// What somebody did in the shop.
enum ShopAction: Int, CaseIterable, Sendable {
  case impression, click, view, addToCart, purchase

  var name: StaticString {
    switch self {
    case .impression: "impression"
    case .click: "click"
    case .view: "view"
    case .addToCart: "add_to_cart"
    case .purchase: "purchase"
    }
  }

  var hasPrice: Bool { self == .view || hasQuantity }
  var hasQuantity: Bool { self == .addToCart || self == .purchase }
}

/// One event before it is written. Users, items and categories count from 0.
struct ShopEvent: Sendable {
  var id: UInt64
  var milliseconds: Int64
  var session: UInt64
  var user: UInt32
  var item: UInt32
  var action: ShopAction
  var quantity: UInt32
}

/// What never changes about the items.
struct Catalogue: Sendable {
  let categories: UInt32

  @inline(__always)
  func category(of item: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: ((mix(UInt64(item)) &>> 32) &* UInt64(categories)) &>> 32)
  }

  /// Six of ten items cost 3 to 30, three 30 to 150, one 150 to 900.
  func priceCents(of item: UInt32) -> UInt64 {
    let bits = mix(UInt64(item) | 1 &<< 40)
    switch bits % 10 {
    case 0..<6: return 300 + (bits &>> 8) % 2_701
    case 6..<9: return 3_000 + (bits &>> 8) % 12_001
    default: return 15_000 + (bits &>> 8) % 75_001
    }
  }

  /// How much a user likes a category, 0 to 3: there is something to learn from the stream.
  @inline(__always)
  func affinity(of user: UInt32, to category: UInt32) -> Int {
    Int(mix(UInt64(user) &<< 32 | UInt64(category)) & 3)
  }
}
