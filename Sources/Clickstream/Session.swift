/// One visit: pages of impressions, some of them clicked, viewed, put into the cart and at the end bought.
struct Session: Sendable {
  private enum Step: Sendable {
    case impression, click, view, addToCart, purchase
  }
  private static let cartItemsMax = 4
  private static let pagesMax = 12

  let user: UInt32
  let number: UInt64
  private var step = Step.impression
  private var item: UInt32 = 0
  private var shownLeft: UInt32
  private var pagesLeft = 0
  /// A small array without memory of its own: a cart changes a few times in a visit.
  private var cart: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  private var cartCount = 0

  init(user: UInt32, number: UInt64, random: inout Random, habits: Habits) {
    self.user = user
    self.number = number
    shownLeft = Self.pageLength(&random)
    while pagesLeft < Self.pagesMax && random.happens(habits.nextPage) { pagesLeft += 1 }
  }

  /// Does the next thing. Gives the nanoseconds until the one after it; nil when the visit is over.
  @inline(__always)
  mutating func advance(
    _ event: inout ShopEvent, _ random: inout Random, _ habits: Habits, _ items: ZipfTable,
    _ catalogue: Catalogue
  ) -> UInt64? {
    event.user = user
    event.session = number
    event.quantity = 0
    defer { event.item = item }
    switch step {
    case .impression:
      event.action = .impression
      item = items.draw(&random)
      shownLeft -= 1
      if random.happens(habits.click[catalogue.affinity(of: user, to: catalogue.category(of: item))]) {
        step = .click
        return random.exponential(mean: 3_000_000_000)
      }
      return browse(&random, habits, pause: 12_000_000_000)
    case .click:
      event.action = .click
      step = .view
      return 100_000_000 + UInt64(random.below(700_000_000))
    case .view:
      event.action = .view
      if random.happens(habits.addToCart) {
        step = .addToCart
        return random.exponential(mean: 20_000_000_000)
      }
      return browse(&random, habits, pause: 15_000_000_000)
    case .addToCart:
      event.action = .addToCart
      event.quantity = random.below(5) == 0 ? 2 + random.below(2) : 1
      put(item, event.quantity)
      return browse(&random, habits, pause: 10_000_000_000)
    case .purchase:
      event.action = .purchase
      (item, event.quantity) = takeFromCart()
      return cartCount > 0 ? 1_000_000 + UInt64(random.below(20_000_000)) : nil
    }
  }

  /// Goes on with the page, turns to the next one, or comes to the end.
  @inline(__always)
  private mutating func browse(_ random: inout Random, _ habits: Habits, pause: UInt64) -> UInt64? {
    step = .impression
    // The impressions of a page come in a burst, as they scroll into sight.
    if shownLeft > 0 { return 20_000_000 + UInt64(random.below(400_000_000)) }
    if pagesLeft > 0 {
      pagesLeft -= 1
      shownLeft = Self.pageLength(&random)
      return random.exponential(mean: pause)
    }
    guard cartCount > 0, random.happens(habits.purchase) else { return nil }
    step = .purchase
    return random.exponential(mean: 40_000_000_000)
  }

  private static func pageLength(_ random: inout Random) -> UInt32 { 3 + random.below(6) }

  private mutating func put(_ item: UInt32, _ quantity: UInt32) {
    guard cartCount < Self.cartItemsMax else { return }
    cart = (UInt64(item) &<< 32 | UInt64(quantity), cart.0, cart.1, cart.2)
    cartCount += 1
  }

  private mutating func takeFromCart() -> (UInt32, UInt32) {
    let latest = cart.0
    cart = (cart.1, cart.2, cart.3, 0)
    cartCount -= 1
    return (UInt32(truncatingIfNeeded: latest &>> 32), UInt32(truncatingIfNeeded: latest))
  }
}

/// How likely visitors do things.
struct Habits: Sendable {
  /// By affinity to the category.
  let click = [Chance(0.03), Chance(0.06), Chance(0.10), Chance(0.20)]
  let nextPage = Chance(0.6)
  let addToCart = Chance(0.15)
  let purchase = Chance(0.4)
  /// Events of a visit, on average: from the chances above by measurement, see the test of the rate.
  static let eventsPerSession = 17.0
}
