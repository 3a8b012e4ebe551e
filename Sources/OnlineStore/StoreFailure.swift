import Processor

/// Reads epochs and positions, and says what is wrong with them.
enum StoreFailure {
  static func number(_ value: RedisValue, _ name: String) throws(StoreError) -> Int64? {
    if value.isNull { return nil }
    guard value.kind == .string, let number = Int64(value.text) else {
      throw StoreError(
        .fatal,
        "\(name) is no number: another program has written it; restore it, or "
          + "delete all keys of the task to fold it anew")
    }
    return number
  }

  static func fenced(_ place: String, own: Int64, stored: Int64?) -> StoreError {
    StoreError(.fenced, "\(place): epoch \(own) is over, the task's is \(text(stored))")
  }

  static func moved(_ place: String, own: Int64?, stored: Int64?) -> StoreError {
    StoreError(.moved, "\(place): built on position \(text(own)), but the store's is \(text(stored))")
  }

  static func unexpected(_ doing: String) -> StoreError {
    StoreError(.fatal, "\(doing): Redis gave a reply of another shape than documented")
  }

  private static func text(_ number: Int64?) -> String { number.map(String.init) ?? "none" }
}
