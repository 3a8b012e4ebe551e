/// The keys of states in a store and of snapshots in the log: `<view>:<entity key>`. A view's name has no colon.
public enum StateKey {
  /// The key of an entity's state.
  public static func make(view: String, _ entityKey: some Collection<UInt8>) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(view.utf8.count + 1 + entityKey.count)
    key += view.utf8
    key.append(UInt8(ascii: ":"))
    key += entityKey
    return key
  }
}
