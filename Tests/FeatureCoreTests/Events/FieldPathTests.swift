import Testing

@testable import FeatureCore

@Suite struct FieldPathTests {
  @Test(
    arguments: [
      ("a", [.member("a")]), ("a.b", [.member("a"), .member("b")]),
      ("items[0].sku", [.member("items"), .element(0), .member("sku")]),
      ("a[1][22]", [.member("a"), .element(1), .element(22)]),
      (#""a.b".c"#, [.member("a.b"), .member("c")]), (#"a."[0]""#, [.member("a"), .member("[0]")]),
      ("order id", [.member("order id")]), ("日本.x-y", [.member("日本"), .member("x-y")]),
      (#""""#, [.member("")]),
    ] as [(String, [FieldPath.Step])])
  func read(_ text: String, _ steps: [FieldPath.Step]) throws {
    let path = try #require(FieldPath(text))
    #expect(path.steps == steps)
    #expect(FieldPath(path.description) == path)
  }

  @Test(arguments: [
    "", ".", "a.", ".a", "a..b", "[0]", "a[", "a[]", "a[0", "a[-1]", "a[x]", "a[0]b", "a]", #""a"#, #"a"b""#,
    #""a"b"#,
    "a[1234567]",
  ])
  func refused(_ text: String) { #expect(FieldPath(text) == nil) }
}
