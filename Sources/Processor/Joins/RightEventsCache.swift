import FeatureCore

/// The right events of a task's keys that are in memory. What hasn't changed since the last commit was sealed may go.
final class RightEventsCache {
  private var keys: [Text: RightEvents] = [:]
  private var changed: Set<Text> = []
  /// Keys whose events in the store are damaged.
  private var damaged: Set<Text> = []
  private var bytes = 0
  private let countMax: Int
  /// Whether any were dropped: the store has some that are not in memory.
  private(set) var hasEvicted = false

  init(countMax: Int) { self.countMax = countMax }

  var count: Int { keys.count }

  /// The keys in memory, in ascending order.
  var sortedKeys: [Text] { keys.keys.sorted() }

  /// nil: not in memory.
  subscript(key: Text) -> RightEvents? { keys[key] }

  func isDamaged(_ key: Text) -> Bool { damaged.contains(key) }

  /// What the store has of a key.
  func insert(_ key: Text, _ events: RightEvents) {
    keys[key] = events
    bytes += events.bytes
  }

  func insertDamaged(_ key: Text) {
    damaged.insert(key)
    keys[key] = RightEvents()
  }

  /// Adds an event of a key that is in memory or has none in the store; false: there is no room.
  func add(_ event: RightEvents.Event, to key: Text, isOver: (Int64) -> Bool) -> Bool {
    var events = keys.removeValue(forKey: key) ?? RightEvents()
    defer { keys[key] = events }
    guard events.insert(event, isOver: isOver) else { return false }
    changed.insert(key)
    bytes += event.fields.count + 40
    return true
  }

  /// The keys that have changed since the last commit, in an order that doesn't depend on the process.
  func forEachChanged(_ body: (Text, RightEvents) -> Void) {
    for key in changed.sorted() { body(key, keys[key] ?? RightEvents()) }
  }

  /// What has changed is on its way to the store. It stays in memory until the next call; the store has the rest.
  func seal(bytesMax: Int) {
    defer { changed.removeAll() }
    guard keys.count > countMax || bytes > bytesMax else { return }
    hasEvicted = hasEvicted || !keys.isEmpty
    keys = keys.filter { changed.contains($0.key) }
    damaged = []
    bytes = keys.values.reduce(0) { $0 + $1.bytes }
  }
}
