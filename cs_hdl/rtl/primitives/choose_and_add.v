// o = b + (a1 or a0). A build for a device may put its own version of this module in its place: where a carry cell has
// inputs to spare, the choice costs nothing.
module cs_choose_and_add #(
    parameter WIDTH = 8
) (
    input wire choice,
    input wire [WIDTH-1:0] a0,
    input wire [WIDTH-1:0] a1,
    input wire [WIDTH-1:0] b,
    output wire [WIDTH-1:0] o
);
    assign o = (choice ? a1 : a0) + b;
endmodule
