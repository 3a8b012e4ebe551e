import TLSClient

/// Why a text is no address of a Redis. It never repeats the text, which may hold a password.
public struct RedisURLError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong, and what to write.
  public var message: String

  init(_ message: String) { self.message = message }

  /// The message.
  public var description: String { message }
}

extension RedisOptions {
  /// Reads an address; everything but the hosts, the primary's name or the path may be left out.
  ///
  /// - `redis://user:password@host:port/db`
  /// - `rediss://…`: the same over TLS, with `?ca_file=`, `cert_file=`, `key_file=` and `server_name=`
  /// - `redis+sentinel://user:password@host:port,host:port/primary/db`, `rediss+sentinel://…`: the primary that
  ///   sentinels name, who have a `sentinel_user=` and `sentinel_password=` of their own
  /// - `unix://user:password@/path?db=0`
  ///
  /// Special characters of names, passwords and parameters are percent-encoded.
  public init(url: String) throws(RedisURLError) {
    self = try RedisURL(url).options()
  }
}

/// The parts of an address: `scheme://credentials@place/path?parameters`.
struct RedisURL {
  private var scheme: Substring
  private var credentials: Substring?
  private var place: Substring
  private var path: [Substring]
  private var query: [Substring]

  init(_ text: String) throws(RedisURLError) {
    guard let mark = text.firstRange(of: "://") else {
      throw RedisURLError("there is no '://' in the address: write redis://host:port or unix:///path")
    }
    scheme = text[..<mark.lowerBound]
    var rest = text[mark.upperBound...]
    // A password's '@' may be bare, and so may its '?', but not its '/'.
    let end = rest.firstIndex(of: scheme == "unix" ? "?" : "/")
    if let at = rest[..<(end ?? rest.endIndex)].lastIndex(of: "@") {
      credentials = rest[..<at]
      rest = rest[rest.index(after: at)...]
    }
    let question = rest.firstIndex(of: "?") ?? rest.endIndex
    query = rest[question...].dropFirst().split(separator: "&")
    let parts = rest[..<question].split(separator: "/", omittingEmptySubsequences: false)
    (place, path) = (parts.first ?? "", Array(parts.dropFirst()))
    if scheme == "unix" { (place, path) = (rest[..<question], []) }
  }

  func options() throws(RedisURLError) -> RedisOptions {
    var options: RedisOptions
    switch scheme {
    case "redis", "rediss":
      let address = try Self.address(place, port: 6379)
      options = RedisOptions(.tcp(host: address.host, port: address.port))
      try readDatabase(path[...], &options)
    case "redis+sentinel", "rediss+sentinel":
      options = RedisOptions(try sentinels())
      try readDatabase(path.dropFirst(), &options)
    case "unix":
      guard place.hasPrefix("/") else { throw RedisURLError("the path is not absolute: write unix:///path") }
      options = RedisOptions(.unix(path: String(place)))
    default:
      throw RedisURLError(
        "the address begins with neither redis://, rediss:// (TLS), redis+sentinel://, rediss+sentinel:// nor unix://"
      )
    }
    if scheme.hasPrefix("rediss") { options.tls = TLSOptions() }
    try readCredentials(&options)
    try readParameters(&options)
    return options
  }

  private func sentinels() throws(RedisURLError) -> RedisOptions.Endpoint {
    var addresses: [RedisOptions.HostAndPort] = []
    for part in place.split(separator: ",") { addresses.append(try Self.address(part, port: 26_379)) }
    let primary = try Self.decoded(path.first ?? "")
    guard !addresses.isEmpty, !primary.isEmpty else {
      throw RedisURLError(
        "write redis+sentinel://host:port,host:port/primary, with the name that the sentinels know")
    }
    return .sentinel(addresses, primary: primary)
  }

  private static func address(_ text: Substring, port: Int32) throws(RedisURLError)
    -> RedisOptions.HostAndPort
  {
    var (host, port) = (text, port)
    if let colon = portColon(text) {
      guard let number = Int32(text[text.index(after: colon)...]), (1...65_535).contains(number) else {
        throw RedisURLError("the port is no number from 1 to 65535")
      }
      (host, port) = (text[..<colon], number)
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { throw RedisURLError("there is no host: write redis://host:port") }
    return RedisOptions.HostAndPort(host: String(host), port: port)
  }

  /// The colon before the port; those inside brackets belong to an IPv6 address.
  private static func portColon(_ address: Substring) -> Substring.Index? {
    guard let colon = address.lastIndex(of: ":") else { return nil }
    if let bracket = address.lastIndex(of: "]"), bracket > colon { return nil }
    return colon
  }

  private func readDatabase(_ path: ArraySlice<Substring>, _ options: inout RedisOptions)
    throws(RedisURLError)
  {
    guard let text = path.first, path.count > 1 || !text.isEmpty else { return }
    options.database = try Self.database(path.count == 1 ? text : "")
  }

  fileprivate static func database(_ text: some StringProtocol) throws(RedisURLError) -> Int32 {
    guard let number = Int32(text), number >= 0 else {
      throw RedisURLError("the database is no number: write redis://host:port/0 or unix:///path?db=0")
    }
    return number
  }

  private func readCredentials(_ options: inout RedisOptions) throws(RedisURLError) {
    guard let text = credentials else { return }
    let colon = text.firstIndex(of: ":") ?? text.endIndex
    let name = try Self.decoded(text[..<colon])
    options.user = name.isEmpty ? nil : name
    guard colon < text.endIndex else {
      throw RedisURLError("there is a user but no password: write user:password@, or :password@")
    }
    options.password = Secret(try Self.decoded(text[text.index(after: colon)...]))
  }

  // MARK: Parameters

  /// What may follow the question mark.
  struct Parameter {
    var name: String
    /// What an address has to be for it, and how that is said.
    var goesWith: (RedisOptions) -> Bool
    var place: String
    var text: (RedisOptions) -> String?
    var set: (inout RedisOptions, String) throws(RedisURLError) -> Void

    static var all: [Parameter] {
      [
        tls("ca_file", \.authorityFile), tls("cert_file", \.certificateFile), tls("key_file", \.keyFile),
        tls("server_name", \.serverName),
        sentinel("sentinel_user", { $0.sentinelUser }, { $0.sentinelUser = $1 }),
        sentinel(
          "sentinel_password", { $0.sentinelPassword?.description }, { $0.sentinelPassword = Secret($1) }),
      ]
    }

    private static func tls(_ name: String, _ path: WritableKeyPath<TLSOptions, String?>) -> Parameter {
      Parameter(
        name: name, goesWith: { $0.tls != nil }, place: "rediss:// and rediss+sentinel://",
        text: { $0.tls?[keyPath: path] }, set: { $0.tls?[keyPath: path] = $1 })
    }

    private static func sentinel(
      _ name: String, _ text: @escaping (RedisOptions) -> String?,
      _ set: @escaping (inout RedisOptions, String) -> Void
    ) -> Parameter {
      Parameter(
        name: name,
        goesWith: {
          if case .sentinel = $0.endpoint { true } else { false }
        }, place: "redis+sentinel:// and rediss+sentinel://", text: text, set: set)
    }
  }

  private func readParameters(_ options: inout RedisOptions) throws(RedisURLError) {
    for part in query {
      let equals = part.firstIndex(of: "=") ?? part.endIndex
      let value = try Self.decoded(part[equals...].dropFirst())
      if scheme == "unix", part[..<equals] == "db" {
        options.database = try Self.database(value)
        continue
      }
      guard let parameter = Parameter.all.first(where: { $0.name == part[..<equals] }) else {
        let names = Parameter.all.map(\.name).joined(separator: ", ")
        throw RedisURLError("a parameter after '?' is unknown: there are \(names), and db= for unix://")
      }
      guard parameter.goesWith(options) else {
        throw RedisURLError("\(parameter.name) goes with \(parameter.place)")
      }
      guard !value.isEmpty else { throw RedisURLError("\(parameter.name) is empty") }
      try parameter.set(&options, value)
    }
    if let tls = options.tls, tls.keyFile != nil, tls.certificateFile == nil {
      throw RedisURLError("there is a key_file but no cert_file: give both")
    }
    if options.sentinelUser != nil, options.sentinelPassword == nil {
      throw RedisURLError("there is a sentinel_user but no sentinel_password")
    }
  }

  private static func decoded(_ text: Substring) throws(RedisURLError) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else {
        throw RedisURLError("a '%' is not followed by two hexadecimal digits: write %25")
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    guard let string = String(validating: bytes, as: UTF8.self) else {
      throw RedisURLError("a name, a password or a parameter is not UTF-8")
    }
    return string
  }
}
