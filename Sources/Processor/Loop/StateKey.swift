/// The keys of states in a store and of snapshots in the log: `<view>:<entity key>`. A view's name has no colon.
public enum StateKey {
  /// The key of an entity's state.
  public static func make(view: String, _ entityKey: some Collection<UInt8>) -> [UInt8] {
    prefix(view: view) + entityKey
  }

  /// The view of a state's key.
  public static func view(of key: some Collection<UInt8>) -> String {
    String(decoding: key.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
  }

  /// What the keys of a view's states begin with.
  static func prefix(view: String) -> [UInt8] { Array(view.utf8) + [UInt8(ascii: ":")] }
}
