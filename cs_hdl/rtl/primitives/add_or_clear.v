// o = a + b, or 0. A build for a device may put its own version of this module in its place: where a carry cell has
// inputs to spare, the choice costs nothing.
module cs_add_or_clear #(
    parameter WIDTH = 8
) (
    input wire clear,
    input wire [WIDTH-1:0] a,
    input wire [WIDTH-1:0] b,
    output wire [WIDTH-1:0] o
);
    assign o = clear ? {WIDTH{1'b0}} : a + b;
endmodule
