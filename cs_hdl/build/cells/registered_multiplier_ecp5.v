// The registered multiplier in one DSP block of an ECP5, with the block's own registers: registers in
// the fabric around it would cost a routing delay on both sides (Yosys never moves them in).
module cs_registered_multiplier #(
    parameter A_WIDTH = 8,
    parameter A_SIGNED = 0,
    parameter B_WIDTH = 8,
    parameter B_SIGNED = 1
) (
    input wire clk,
    input wire en,
    input wire [A_WIDTH-1:0] a,
    input wire [B_WIDTH-1:0] b,
    output wire [A_WIDTH+B_WIDTH-1:0] o
);
    generate
    if (A_WIDTH <= 18 && B_WIDTH <= 18) begin : dsp
        wire [17:0] x = {{18{(A_SIGNED != 0) & a[A_WIDTH-1]}}, a};
        wire [17:0] y = {{18{(B_SIGNED != 0) & b[B_WIDTH-1]}}, b};
        wire [35:0] p;
        // SRI* and SRO* (the shift chain) stay open, or routing fails.
        MULT18X18D #(
            .REG_INPUTA_CLK("CLK0"), .REG_INPUTA_CE("CE0"), .REG_INPUTA_RST("RST0"),
            .REG_INPUTB_CLK("CLK0"), .REG_INPUTB_CE("CE0"), .REG_INPUTB_RST("RST0"),
            .REG_PIPELINE_CLK("NONE"),
            .REG_OUTPUT_CLK("CLK0"), .REG_OUTPUT_CE("CE0"), .REG_OUTPUT_RST("RST0"),
            .GSR("DISABLED")
        ) multiplier (
            .CLK0(clk), .CLK1(1'b0), .CLK2(1'b0), .CLK3(1'b0),
            .CE0(en), .CE1(1'b1), .CE2(1'b1), .CE3(1'b1),
            .RST0(1'b0), .RST1(1'b0), .RST2(1'b0), .RST3(1'b0),
            .SIGNEDA(A_SIGNED != 0), .SIGNEDB(B_SIGNED != 0), .SOURCEA(1'b0), .SOURCEB(1'b0),
            .A0(x[0]), .A1(x[1]), .A2(x[2]), .A3(x[3]), .A4(x[4]), .A5(x[5]), .A6(x[6]), .A7(x[7]), .A8(x[8]),
            .A9(x[9]), .A10(x[10]), .A11(x[11]), .A12(x[12]), .A13(x[13]), .A14(x[14]), .A15(x[15]), .A16(x[16]), .A17(x[17]),
            .B0(y[0]), .B1(y[1]), .B2(y[2]), .B3(y[3]), .B4(y[4]), .B5(y[5]), .B6(y[6]), .B7(y[7]), .B8(y[8]),
            .B9(y[9]), .B10(y[10]), .B11(y[11]), .B12(y[12]), .B13(y[13]), .B14(y[14]), .B15(y[15]), .B16(y[16]), .B17(y[17]),
            .C0(1'b0), .C1(1'b0), .C2(1'b0), .C3(1'b0), .C4(1'b0), .C5(1'b0), .C6(1'b0), .C7(1'b0), .C8(1'b0),
            .C9(1'b0), .C10(1'b0), .C11(1'b0), .C12(1'b0), .C13(1'b0), .C14(1'b0), .C15(1'b0), .C16(1'b0), .C17(1'b0),
            .P0(p[0]), .P1(p[1]), .P2(p[2]), .P3(p[3]), .P4(p[4]), .P5(p[5]), .P6(p[6]), .P7(p[7]), .P8(p[8]),
            .P9(p[9]), .P10(p[10]), .P11(p[11]), .P12(p[12]), .P13(p[13]), .P14(p[14]), .P15(p[15]), .P16(p[16]), .P17(p[17]),
            .P18(p[18]), .P19(p[19]), .P20(p[20]), .P21(p[21]), .P22(p[22]), .P23(p[23]), .P24(p[24]), .P25(p[25]), .P26(p[26]),
            .P27(p[27]), .P28(p[28]), .P29(p[29]), .P30(p[30]), .P31(p[31]), .P32(p[32]), .P33(p[33]), .P34(p[34]), .P35(p[35])
        );
        assign o = p[A_WIDTH+B_WIDTH-1:0];
    end else begin : logic_
        // Wider than one block: Yosys combines several.
        reg [A_WIDTH-1:0] a_register;
        reg [B_WIDTH-1:0] b_register;
        reg [A_WIDTH+B_WIDTH-1:0] product;
        wire signed [A_WIDTH+B_WIDTH-1:0] x = {{B_WIDTH{(A_SIGNED != 0) & a_register[A_WIDTH-1]}}, a_register};
        wire signed [A_WIDTH+B_WIDTH-1:0] y = {{A_WIDTH{(B_SIGNED != 0) & b_register[B_WIDTH-1]}}, b_register};
        always @(posedge clk)
            if (en) begin
                a_register <= a;
                b_register <= b;
                product <= x * y;
            end
        assign o = product;
    end
    endgenerate
endmodule
